/** The list of conversations. */
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import {
  activeId,
  addConversations,
  conversations,
  deleteConversation,
  keepsConversations,
  renameConversation,
  unreadConversations,
} from '../chat.ts';
import type { Conversation } from '../conversation.ts';
import { findDraft, isComposing, useDraftForm } from '../drafts.ts';
import { t } from '../i18n.ts';
import { newId } from '../ids.ts';
import { downloadText } from '../storage.ts';
import { exportConversations, importConversations } from '../transfer.ts';
import { beginChat } from './composer.tsx';
import { Icon, IconButton } from './icon.tsx';

const renameDraft = (conversation: Conversation) => `rename/${conversation.id}`;
const deletion = (conversation: Conversation) => `delete/${conversation.id}`;

function RenameForm({ conversation, onClose }: { conversation: Conversation; onClose: () => void }) {
  const { text, setText, field, close } = useDraftForm<HTMLInputElement>(renameDraft(conversation), conversation.title, onClose);
  const submit = (event: Event) => {
    event.preventDefault();
    renameConversation(conversation, text.trim());
    close();
  };
  return (
    <form
      class="rename"
      data-opened-by={renameDraft(conversation)}
      onSubmit={submit}
      onKeyDown={(event) => {
        if (event.key !== 'Escape' || isComposing(event)) return;
        event.stopPropagation();
        close();
      }}
    >
      <input
        aria-label={t('renameTo')}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        ref={field}
      />
      <IconButton icon="close" label={t('cancel')} onClick={close} />
    </form>
  );
}

function DeleteForm({ conversation, onDelete, onClose }: { conversation: Conversation; onDelete: () => void; onClose: () => void }) {
  const button = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => button.current!.focus(), []);
  return (
    <div class="entry confirm" data-opened-by={deletion(conversation)}>
      <button type="button" class="danger" onClick={onDelete} ref={button}>
        {t('deleteReally')}
      </button>
      <IconButton icon="close" label={t('cancel')} onClick={onClose} />
    </div>
  );
}

function Entry({ conversation, onChoose }: { conversation: Conversation; onChoose: () => void }) {
  const [mode, setMode] = useState<'plain' | 'rename' | 'delete'>(findDraft(renameDraft(conversation)) === undefined ? 'plain' : 'rename');
  const close = () => setMode('plain');
  const isActive = conversation.id === activeId.value;
  const entry = useRef<HTMLDivElement>(null);
  // Back and a reload may lead to one that is far down in the list; what is asked in it brings it to the top.
  useLayoutEffect(() => {
    if (isActive) entry.current?.scrollIntoView({ block: 'nearest' });
  }, [isActive, conversation.updatedMs]);
  if (mode === 'rename') return <RenameForm conversation={conversation} onClose={close} />;
  const remove = () => {
    deleteConversation(conversation);
    if (conversations.value.length > 0) return;
    // Nothing is left in the list to go on with.
    beginChat();
    onChoose();
  };
  if (mode === 'delete') return <DeleteForm conversation={conversation} onDelete={remove} onClose={close} />;
  const title = conversation.title || t('untitled');
  return (
    <div class={isActive ? 'entry active' : 'entry'} role="group" aria-label={title} ref={entry}>
      <button
        type="button"
        class="entry-title"
        title={title}
        aria-current={isActive}
        onClick={() => {
          activeId.value = conversation.id;
          onChoose();
        }}
      >
        {title}
      </button>
      <IconButton icon="edit" label={t('rename')} opens={renameDraft(conversation)} onClick={() => setMode('rename')} />
      <IconButton icon="trash" label={t('delete')} opens={deletion(conversation)} onClick={() => setMode('delete')} />
    </div>
  );
}

function Transfer() {
  const input = useRef<HTMLInputElement>(null);
  const [complaint, setComplaint] = useState('');
  const read = async (file: File | undefined) => {
    if (!file) return;
    try {
      const { conversations: added, faults } = importConversations(await file.text(), newId);
      await addConversations(added);
      const reasons = [...new Set(faults)].join('; ');
      setComplaint(faults.length === 0 ? '' : t('importPartly', { count: faults.length, total: added.length + faults.length, reasons }));
    } catch (error) {
      setComplaint(t('importFailed', { reason: error instanceof Error ? error.message : String(error) }));
    }
  };
  return (
    <div class="transfer">
      <div class="row">
        <button
          type="button"
          class="quiet"
          disabled={conversations.value.length === 0}
          onClick={() => downloadText('touchstone-conversations.json', exportConversations(conversations.value))}
        >
          <Icon name="download" /> {t('export')}
        </button>
        <button type="button" class="quiet" onClick={() => input.current?.click()}>
          <Icon name="upload" /> {t('import')}
        </button>
      </div>
      <input
        ref={input}
        type="file"
        accept=".json,application/json"
        hidden
        aria-label={t('import')}
        onChange={(event) => {
          void read(event.currentTarget.files?.[0]);
          event.currentTarget.value = '';
        }}
      />
      {complaint !== '' && (
        <p class="ending bad" role="alert">
          {complaint}
        </p>
      )}
    </div>
  );
}

export function Sidebar({ open, onClose }: { open: boolean; onClose: () => void }) {
  const first = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => {
    if (open) first.current!.focus();
  }, [open]);
  return (
    <aside
      class={open ? 'sidebar open' : 'sidebar'}
      data-opened-by="conversations"
      aria-label={t('conversations')}
      onKeyDown={(event) => event.key === 'Escape' && onClose()}
    >
      <button
        type="button"
        class="new-chat"
        ref={first}
        onClick={() => {
          beginChat();
          onClose();
        }}
      >
        <Icon name="plus" /> {t('newChat')}
      </button>
      <nav class="entries" aria-label={t('conversations')}>
        {conversations.value.map((conversation) => (
          <Entry key={conversation.id} conversation={conversation} onChoose={onClose} />
        ))}
      </nav>
      {!keepsConversations.value && <p class="ending">{t('notKept')}</p>}
      {unreadConversations.value > 0 && <p class="ending">{t('keptUnread', { count: unreadConversations.value })}</p>}
      <Transfer />
      <a class="licenses" href="third-party-licenses.txt" target="_blank" rel="noreferrer">
        {t('licenses')}
      </a>
    </aside>
  );
}

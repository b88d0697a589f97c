/** One message of a conversation and what can be done with it. */
import { useState } from 'preact/hooks';
import { active, continueReply, isWrittenElsewhere, regenerate, resendEdited, showSibling, stopAnswers, streaming } from '../chat.ts';
import { copyText } from '../clipboard.ts';
import { type AssistantMessage, childrenOf, type Message, type UserMessage } from '../conversation.ts';
import { findDraft, isComposing, useDraftForm } from '../drafts.ts';
import { t } from '../i18n.ts';
import { clipText } from '../markdown.ts';
import type { Reply } from '../reply.ts';
import { connection, shortName } from '../store.ts';
import { beginChat } from './composer.tsx';
import { IconButton } from './icon.tsx';
import { fillsContext, ReplyBody, ReplyStats } from './reply_view.tsx';
import { TokenView } from './token_view.tsx';

const COPIED_SHOWN_MS = 1_500;

function CopyButton({ text }: { text: string }) {
  const [outcome, setOutcome] = useState<'copy' | 'copied' | 'copyFailed'>('copy');
  const copy = async () => {
    setOutcome((await copyText(text)) ? 'copied' : 'copyFailed');
    setTimeout(() => setOutcome('copy'), COPIED_SHOWN_MS);
  };
  const icon = { copy: 'copy', copied: 'check', copyFailed: 'close' } as const;
  return <IconButton icon={icon[outcome]} label={t(outcome)} onClick={() => void copy()} />;
}

/** Steps between the branches that begin here. */
function Branches({ message }: { message: Message }) {
  const siblings = active.value ? childrenOf(active.value, message.parent) : [];
  if (siblings.length < 2) return null;
  const index = siblings.findIndex((sibling) => sibling.id === message.id);
  return (
    <span class="branches">
      <IconButton icon="left" label={t('previousBranch')} disabled={index === 0} onClick={() => showSibling(message, -1)} />
      <span>{t('branchOf', { index: index + 1, count: siblings.length })}</span>
      <IconButton icon="right" label={t('nextBranch')} disabled={index === siblings.length - 1} onClick={() => showSibling(message, 1)} />
    </span>
  );
}

const editDraft = (message: UserMessage) => `edit/${message.id}`;

function EditForm({ message, onClose }: { message: UserMessage; onClose: () => void }) {
  const { text, setText, field, close } = useDraftForm<HTMLTextAreaElement>(editDraft(message), message.content, onClose);
  const submit = (event: Event) => {
    event.preventDefault();
    if (text.trim() === '') return;
    close();
    void resendEdited(message, text);
  };
  return (
    <form
      class="edit"
      data-opened-by={editDraft(message)}
      onSubmit={submit}
      onKeyDown={(event) => event.key === 'Escape' && !isComposing(event) && close()}
    >
      <textarea
        aria-label={t('editLabel')}
        rows={3}
        dir="auto"
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        ref={field}
      />
      <div class="row">
        <button type="submit" class="primary">
          {t('save')}
        </button>
        <button type="button" onClick={close}>
          {t('cancel')}
        </button>
      </div>
    </form>
  );
}

function UserView({ message }: { message: UserMessage }) {
  const [editing, setEditing] = useState(findDraft(editDraft(message)) !== undefined);
  return (
    <article class="message user" aria-label={t('you')}>
      {editing ? (
        <EditForm message={message} onClose={() => setEditing(false)} />
      ) : (
        <>
          <div class="bubble" dir="auto">
            {clipText(message.content)}
          </div>
          <div class="actions">
            <Branches message={message} />
            <CopyButton text={message.content} />
            <IconButton
              icon="edit"
              label={t('edit')}
              disabled={streaming.value}
              opens={editDraft(message)}
              onClick={() => setEditing(true)}
            />
          </div>
        </>
      )}
    </article>
  );
}

function hasText(reply: Reply): boolean {
  return reply.content !== '' || reply.reasoning !== '';
}

/** What can be done about an answer that failed. */
function Remedies({ message }: { message: AssistantMessage }) {
  const { reply } = message;
  const isTooLong = reply.error?.kind === 'context';
  const canContinue = hasText(reply) && !isTooLong;
  const disabled = streaming.value || connection.value !== 'ready';
  return (
    <p class="row">
      {isTooLong && (
        <button type="button" class="primary" onClick={beginChat}>
          {t('newChat')}
        </button>
      )}
      {canContinue && (
        <button type="button" class="primary" disabled={disabled} onClick={() => void continueReply(message)}>
          {t('continue')}
        </button>
      )}
      <button type="button" class={isTooLong || canContinue ? '' : 'primary'} disabled={disabled} onClick={() => void regenerate(message)}>
        {t('retry')}
      </button>
    </p>
  );
}

function AssistantView({ message }: { message: AssistantMessage }) {
  const [showsTokens, setShowsTokens] = useState(false);
  const { reply } = message;
  const elsewhere = isWrittenElsewhere(message);
  const isLive = reply.state === 'streaming' || elsewhere;
  const wasCut = reply.finishReason === 'length' || reply.finishReason === 'deadline';
  const canContinue = reply.state === 'interrupted' || reply.state === 'stopped' || (wasCut && !fillsContext(reply));
  return (
    <article class="message assistant" aria-label={shortName(reply.model)} aria-busy={isLive}>
      <h3 class="speaker">{shortName(reply.model)}</h3>
      <ReplyBody reply={reply} onStop={stopAnswers} elsewhere={elsewhere} />
      {reply.state === 'failed' && <Remedies message={message} />}
      {!isLive && (
        <div class="actions">
          <Branches message={message} />
          {reply.content !== '' && <CopyButton text={reply.content} />}
          {/* Retry is the same. */}
          {reply.state !== 'failed' && <IconButton icon="again" label={t('regenerate')} disabled={streaming.value} onClick={() => void regenerate(message)} />}
          {canContinue && hasText(reply) && (
            <IconButton icon="forward" label={t('continue')} disabled={streaming.value} onClick={() => void continueReply(message)} />
          )}
          {reply.tokens.length > 0 && (
            <IconButton icon="tokens" label={t('tokens')} pressed={showsTokens} onClick={() => setShowsTokens(!showsTokens)} />
          )}
        </div>
      )}
      <ReplyStats reply={reply} />
      {showsTokens && !isLive && <TokenView message={message} />}
    </article>
  );
}

export function MessageView({ message }: { message: Message }) {
  return message.role === 'user' ? <UserView message={message} /> : <AssistantView message={message} />;
}

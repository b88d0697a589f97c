/** The chat: conversations, messages, composer, parameters. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { activeId, chatDraft, sendMessage, shownMessages, stopAnswers, streaming } from '../chat.ts';
import { t } from '../i18n.ts';
import { chatModel, connection } from '../store.ts';
import { Composer } from './composer.tsx';
import { IconButton } from './icon.tsx';
import { MessageView } from './message_view.tsx';
import { ModelChoice } from './model_choice.tsx';
import { Parameters } from './parameters.tsx';
import { Sidebar } from './sidebar.tsx';

// Nearer to the end than this, the reader follows the answer.
const FOLLOW_PIXELS = 80;

/** Keeps the end in sight while the reader is there; never pulls a reader down who has scrolled up. */
function useFollowing() {
  const scroller = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  const lastTop = useRef(0);
  useEffect(() => {
    const element = scroller.current!;
    // A form that opens grows the messages, too, and is to stay in sight.
    const toEnd = () => {
      if (!follows.current || document.activeElement?.closest('.edit')) return;
      element.scrollTop = element.scrollHeight;
      lastTop.current = element.scrollTop;
    };
    const observer = new ResizeObserver(toEnd);
    observer.observe(element.firstElementChild!);
    return () => observer.disconnect();
  }, []);
  const onScroll = () => {
    const element = scroller.current!;
    const rest = element.scrollHeight - element.scrollTop - element.clientHeight;
    // The answer may have grown by more since it was followed to its end: only the reader goes up.
    if (element.scrollTop < lastTop.current) follows.current = rest < 1;
    else if (rest < FOLLOW_PIXELS) follows.current = true;
    lastTop.current = element.scrollTop;
  };
  const follow = () => (follows.current = true);
  return { scroller, onScroll, follow };
}

function Messages() {
  const messages = shownMessages.value;
  if (messages.length === 0) {
    return (
      <div class="empty">
        <h2>{t('emptyTitle')}</h2>
        <p>{t('emptyHint')}</p>
      </div>
    );
  }
  return (
    <>
      {messages.map((message) => (
        <MessageView key={message.id} message={message} />
      ))}
    </>
  );
}

/** Whether the list of conversations lies over the chat; only a narrow window lays it there. */
function useList(): [boolean, (open: boolean) => void] {
  const [open, setOpen] = useState(false);
  useEffect(() => {
    const narrow = matchMedia('(max-width: 48rem)');
    const close = () => narrow.matches || setOpen(false);
    narrow.addEventListener('change', close);
    return () => narrow.removeEventListener('change', close);
  }, []);
  return [open, setOpen];
}

export function ChatView() {
  const [listOpen, setListOpen] = useList();
  const [parametersOpen, setParametersOpen] = useState(false);
  const { scroller, onScroll, follow } = useFollowing();
  const conversation = activeId.value;
  useEffect(() => {
    follow();
  }, [conversation]);
  const send = (text: string) => {
    follow();
    void sendMessage(text);
  };
  return (
    <div class="chat">
      <Sidebar open={listOpen} onClose={() => setListOpen(false)} />
      {listOpen && <div class="scrim" onClick={() => setListOpen(false)} />}
      <main class="thread" inert={listOpen}>
        <div class="toolbar">
          <IconButton
            icon="menu"
            class="only-narrow"
            label={t('showConversations')}
            expanded={listOpen}
            opens="conversations"
            onClick={() => setListOpen(!listOpen)}
          />
          <ModelChoice label={t('model')} value={chatModel.value} onChange={(id) => (chatModel.value = id)} />
          <IconButton
            icon="sliders"
            label={t('parameters')}
            expanded={parametersOpen}
            opens="parameters"
            onClick={() => setParametersOpen(!parametersOpen)}
          />
        </div>
        <div class="messages" ref={scroller} onScroll={onScroll} tabIndex={0} role="region" aria-label={t('tabChat')}>
          <div class="column">
            <Messages />
          </div>
        </div>
        <div class="column">
          <Composer
            draft={chatDraft(conversation)}
            label={t('messageLabel')}
            placeholder={t('messagePlaceholder')}
            sendLabel={t('send')}
            busy={streaming.value}
            disabled={connection.value !== 'ready'}
            onSend={send}
            onStop={stopAnswers}
          />
        </div>
      </main>
      {parametersOpen && <Parameters model={chatModel.value} onClose={() => setParametersOpen(false)} />}
    </div>
  );
}

/** The frame: title, views, language, looks, and what the server says about itself. */
import { useState } from 'preact/hooks';
import { addressOf } from '../address.ts';
import { language, LANGUAGE_TAGS, setLanguage, t, type WordKey } from '../i18n.ts';
import { announcement, apiKey, connection, pageModel, setApiKey, tab, type Tab, theme, type Theme } from '../store.ts';
import { ArenaView } from './arena_view.tsx';
import { ChatView } from './chat_view.tsx';
import { focusComposer } from './composer.tsx';
import { IconButton, type IconName } from './icon.tsx';
import { ReportView } from './report_view.tsx';

const TABS: [Tab, WordKey][] = [
  ['chat', 'tabChat'],
  ['arena', 'tabArena'],
  ['report', 'tabReport'],
];

const THEMES: Record<Theme, { next: Theme; icon: IconName; label: WordKey }> = {
  auto: { next: 'light', icon: 'auto', label: 'themeAuto' },
  light: { next: 'dark', icon: 'sun', label: 'themeLight' },
  dark: { next: 'auto', icon: 'moon', label: 'themeDark' },
};

function Header() {
  const other = language.value === 'zh' ? 'en' : 'zh';
  const look = THEMES[theme.value];
  return (
    <header class="top">
      <h1>{pageTitle()}</h1>
      <nav aria-label={t('tabs')}>
        {TABS.map(([name, word]) => (
          <a key={name} href={addressOf(name)} aria-current={tab.value === name ? 'page' : undefined}>
            {t(word)}
          </a>
        ))}
      </nav>
      <div class="row tight">
        <button type="button" class="quiet" lang={LANGUAGE_TAGS[other]} onClick={() => setLanguage(other)}>
          {other === 'en' ? 'EN' : '中文'}
        </button>
        <IconButton icon={look.icon} label={t(look.label)} onClick={() => (theme.value = look.next)} />
      </div>
    </header>
  );
}

export function pageTitle(): string {
  return t('title', { name: pageModel.value || 'touchstone' });
}

function KeyForm() {
  const [key, setKey] = useState(apiKey.value);
  return (
    <form
      class="notice"
      onSubmit={(event) => {
        event.preventDefault();
        void setApiKey(key.trim());
      }}
    >
      <p>
        <strong>{t('keyNeeded')}</strong> {t('keyKept')}
      </p>
      <div class="row">
        <input
          type="password"
          autocomplete="off"
          aria-label={t('keyLabel')}
          placeholder={t('keyLabel')}
          value={key}
          onInput={(event) => setKey(event.currentTarget.value)}
        />
        <button type="submit" class="primary">
          {t('keyUse')}
        </button>
      </div>
    </form>
  );
}

function Notice() {
  if (connection.value === 'auth') return <KeyForm />;
  if (connection.value === 'loading') {
    return (
      <p class="notice" role="status">
        {t('loadingModels')}
      </p>
    );
  }
  if (connection.value === 'down') {
    return (
      <p class="notice bad" role="status">
        {t('disconnected')}
      </p>
    );
  }
  return null;
}

export function App() {
  return (
    <div class="app">
      {/* Past a list of conversations and all their messages. */}
      {tab.value !== 'report' && (
        <button type="button" class="offscreen skip" onClick={focusComposer}>
          {t('skip')}
        </button>
      )}
      <Header />
      <Notice />
      {tab.value === 'chat' && <ChatView />}
      {tab.value === 'arena' && <ArenaView />}
      {tab.value === 'report' && <ReportView />}
      <p class="offscreen" aria-live="polite">
        {announcement.value}
      </p>
    </div>
  );
}

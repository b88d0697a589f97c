import 'katex/dist/katex.min.css';
import './styles/base.css';
import './styles/chat.css';
import './styles/markdown.css';
import './styles/arena.css';
import './styles/print.css';
import { effect } from '@preact/signals';
import { render } from 'preact';
import { startAddress } from './address.ts';
import { startArena } from './arena.ts';
import { App, pageTitle } from './components/app.tsx';
import { startDrafts } from './drafts.ts';
import { keepFocus } from './focus.ts';
import { language, LANGUAGE_TAGS, startLanguage } from './i18n.ts';
import { connect, startStore } from './store.ts';

startLanguage();
startStore();
startDrafts();
effect(() => {
  document.title = pageTitle();
  document.documentElement.lang = LANGUAGE_TAGS[language.value];
});
void startAddress();
const root = document.getElementById('app')!;
render(<App />, root);
keepFocus(root);
startArena();
void connect();

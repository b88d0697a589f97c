/** The comparison tab: a finished run's report.json. */
import { signal } from '@preact/signals';
import { useRef, useState } from 'preact/hooks';
import { formatNumber, formatPercent, formatTime, t, type WordKey } from '../i18n.ts';
import { type Answer, type Candidate, type Interval, isDiffering, parseReport, type Report, type ReportItem, type Summary } from '../report.ts';
import { Icon } from './icon.tsx';
import { MarkdownView } from './markdown_view.tsx';

const ITEMS_A_PAGE = 50;

const opened = signal<Report | null>(null);
const failure = signal('');

const OUTCOMES: Record<string, WordKey> = {
  correct: 'outcomeCorrect',
  wrong: 'outcomeWrong',
  cut_off: 'outcomeCutOff',
  looped: 'outcomeLooped',
  unparsable: 'outcomeUnparsable',
  timed_out: 'outcomeTimedOut',
  error: 'outcomeError',
};

async function open(file: File | undefined): Promise<void> {
  if (!file) return;
  try {
    opened.value = parseReport(await file.text());
    failure.value = '';
  } catch (error) {
    opened.value = null;
    failure.value = error instanceof Error ? error.message : String(error);
  }
}

function showInterval(interval: Interval, show: (value: number) => string): string {
  return interval === null ? '' : ` [${show(interval[0])}, ${show(interval[1])}]`;
}

function showSummary(summary: Summary | null, digits: number): string {
  if (summary === null) return '–';
  const show = (value: number) => formatNumber(value, digits);
  return `${show(summary.mean)} ± ${show(summary.std)}${showInterval(summary.interval, show)}`;
}

function showAccuracy(candidate: Candidate, suite: string): string {
  const score = candidate.suites.find((one) => one.suite === suite);
  if (!score) return '–';
  const show = (value: number) => formatPercent(value, 1);
  return show(score.accuracy) + showInterval(score.interval, show);
}

interface Row {
  name: string;
  show: (candidate: Candidate) => string;
}

function tableRows(report: Report): Row[] {
  const suites = new Map(report.candidates.flatMap((candidate) => candidate.suites.map((one) => [one.suite, one.items])));
  return [
    ...[...suites].map(([suite, items]) => ({
      name: t('reportAccuracy', { suite, items }),
      show: (candidate: Candidate) => showAccuracy(candidate, suite),
    })),
    { name: `${t('reportTtft')} (ms)`, show: (candidate) => showSummary(candidate.ttft_ms, 1) },
    { name: t('reportRate'), show: (candidate) => showSummary(candidate.decode_tokens_per_second, 1) },
    {
      name: t('reportMemory'),
      show: ({ peak_memory_bytes: bytes }) => (bytes === null ? '–' : `${formatNumber(bytes / 1e6, 1)} MB`),
    },
    { name: t('reportTokens'), show: (candidate) => showSummary(candidate.tokens_per_answer, 1) },
  ];
}

function Table({ report }: { report: Report }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={t('reportMeasure')}>
      <table>
        <thead>
          <tr>
            <th scope="col">{t('reportMeasure')}</th>
            {report.candidates.map((candidate) => (
              <th key={candidate.label} scope="col">
                {candidate.label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {tableRows(report).map((row) => (
            <tr key={row.name}>
              <th scope="row">{row.name}</th>
              {report.candidates.map((candidate) => (
                <td key={candidate.label}>{row.show(candidate)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function List({ title, lines }: { title: string; lines: string[] }) {
  return lines.length === 0 ? null : (
    <section class="panel">
      <h2>{title}</h2>
      <ul>
        {lines.map((line, index) => (
          <li key={index}>{line}</li>
        ))}
      </ul>
    </section>
  );
}

function Scenarios({ report }: { report: Report }) {
  return report.scenarios.length === 0 ? null : (
    <section class="panel">
      <h2>{t('reportScenarios')}</h2>
      {report.scenarios.map((scenario) => (
        <details key={scenario.name}>
          <summary>
            <strong>{scenario.title}:</strong> {scenario.recommendation}
          </summary>
          <ul>
            {scenario.lines.map((line, index) => (
              <li key={index}>{line}</li>
            ))}
          </ul>
        </details>
      ))}
    </section>
  );
}

function Transcript({ answer }: { answer: Answer }) {
  return (
    <>
      {answer.reasoning && (
        <details>
          <summary>{t('reportThinking')}</summary>
          <pre class="transcript" dir="auto">
            {answer.reasoning}
          </pre>
        </details>
      )}
      {answer.text && <MarkdownView text={answer.text} />}
    </>
  );
}

/** The inside of an item is drawn when it is opened: transcripts are long, and there are many. */
function Item({ item }: { item: ReportItem }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <details class="item" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        {item.item}
        {item.answers.map((answer, index) => (
          <span key={index} class={`outcome ${answer.outcome ?? 'none'}`}>
            {t((answer.outcome !== null && OUTCOMES[answer.outcome]) || 'outcomeNone')}
          </span>
        ))}
      </summary>
      {isOpen && <ItemBody item={item} />}
    </details>
  );
}

function ItemBody({ item }: { item: ReportItem }) {
  return (
    <>
      {item.prompt && (
        <pre class="transcript" dir="auto">
          {item.prompt}
        </pre>
      )}
      <p dir="auto">{t('reportExpected', { answer: item.expected })}</p>
      <div class="answers">
        {item.answers.map((answer, index) => (
          <section key={index} class="answer">
            <h3>
              {answer.candidate}
              {answer.sample > 0 && ` #${answer.sample + 1}`}
            </h3>
            <p dir="auto">{t('reportExtracted', { answer: answer.extracted || t('reportNothing') })}</p>
            <p dir="auto">{answer.why}</p>
            <p class="stats">
              <span>{t('reportTokensUsed', { tokens: formatNumber(answer.tokens) })}</span>
              <span>{answer.finish_reason}</span>
            </p>
            <Transcript answer={answer} />
          </section>
        ))}
      </div>
    </>
  );
}

function Items({ items }: { items: ReportItem[] }) {
  const [onlyDiffering, setOnlyDiffering] = useState(true);
  const [suite, setSuite] = useState('');
  const [shown, setShown] = useState(ITEMS_A_PAGE);
  const suites = [...new Set(items.map((item) => item.suite))];
  const chosen = items.filter((item) => (suite === '' || item.suite === suite) && (!onlyDiffering || isDiffering(item)));
  return (
    <section class="panel">
      <h2>
        {t('reportItems')} ({formatNumber(chosen.length)})
      </h2>
      <div class="row">
        <select
          aria-label={t('reportFilter')}
          value={onlyDiffering ? 'differing' : 'all'}
          onChange={(event) => setOnlyDiffering(event.currentTarget.value === 'differing')}
        >
          <option value="differing">{t('reportDiffering')}</option>
          <option value="all">{t('reportAll')}</option>
        </select>
        <select aria-label={t('reportSuite')} value={suite} onChange={(event) => setSuite(event.currentTarget.value)}>
          <option value="">{t('reportAllSuites')}</option>
          {suites.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </div>
      {chosen.slice(0, shown).map((item) => (
        <Item key={`${item.suite}/${item.item}`} item={item} />
      ))}
      {chosen.length > shown && (
        <button type="button" onClick={() => setShown(shown + ITEMS_A_PAGE)}>
          {t('reportMore')}
        </button>
      )}
    </section>
  );
}

function ReportBody({ report }: { report: Report }) {
  const verdicts = [
    ...report.accuracy_comparisons.map((one) => `${one.suite}: ${one.verdict}`),
    ...report.measure_comparisons.map((one) => `${one.measure}: ${one.verdict}`),
  ];
  return (
    <>
      <h2 class="report-title">{report.title}</h2>
      <p class="hint">
        <time dateTime={report.created}>{formatTime(report.created)}</time> · touchstone {report.version} · {report.machine}
      </p>
      <Table report={report} />
      <Scenarios report={report} />
      <List title={t('reportVerdicts')} lines={verdicts} />
      <List title={t('reportNotes')} lines={report.notes} />
      <Items items={report.items} />
    </>
  );
}

export function ReportView() {
  const input = useRef<HTMLInputElement>(null);
  const isEmpty = !opened.value;
  const hint = <p class="hint">{t('reportHint')}</p>;
  return (
    <main class="report">
      <div class={isEmpty ? 'empty' : 'row'}>
        {isEmpty && <h2>{t('reportEmpty')}</h2>}
        {isEmpty && hint}
        <button type="button" class="primary" onClick={() => input.current?.click()}>
          <Icon name="upload" /> {t('reportOpen')}
        </button>
        <input
          ref={input}
          type="file"
          accept=".json,application/json"
          hidden
          aria-label={t('reportOpen')}
          onChange={(event) => {
            void open(event.currentTarget.files?.[0]);
            event.currentTarget.value = '';
          }}
        />
        {!isEmpty && hint}
      </div>
      {failure.value !== '' && (
        <p class="ending bad" role="alert">
          {t('reportBad', { reason: failure.value })}
        </p>
      )}
      {opened.value && <ReportBody report={opened.value} />}
    </main>
  );
}

/** report.json of a comparison, as far as the page shows it (docs/report.schema.json). */

export type Interval = [number, number] | null;

export interface Summary {
  mean: number;
  std: number;
  interval: Interval;
  count: number;
}

export interface Candidate {
  label: string;
  model: string;
  suites: { suite: string; items: number; accuracy: number; interval: Interval }[];
  ttft_ms: Summary | null;
  decode_tokens_per_second: Summary | null;
  tokens_per_answer: Summary | null;
  peak_memory_bytes: number | null;
}

export interface Answer {
  candidate: string;
  sample: number;
  outcome: string | null;
  extracted: string;
  why: string;
  tokens: number;
  finish_reason: string;
  // Older reports have no transcripts.
  reasoning?: string | null;
  text?: string | null;
}

export interface ReportItem {
  suite: string;
  item: string;
  prompt?: string | null;
  expected: string;
  answers: Answer[];
}

export interface Report {
  title: string;
  created: string;
  version: string;
  machine: string;
  candidates: Candidate[];
  accuracy_comparisons: { suite: string; verdict: string }[];
  measure_comparisons: { measure: string; verdict: string }[];
  scenarios: { name: string; title: string; recommendation: string; lines: string[] }[];
  notes: string[];
  items: ReportItem[];
}

const REPORT_VERSION = 1;

/** A shape that JSON may have. Written out once, it is both the check and its documentation. */
type Shape = 'string' | 'number' | 'interval' | { optional: Shape } | { each: Shape } | { fields: Record<string, Shape> };

const SUMMARY: Shape = { optional: { fields: { mean: 'number', std: 'number', interval: 'interval', count: 'number' } } };
const STRINGS: Shape = { each: 'string' };
const REPORT: Shape = {
  fields: {
    title: 'string',
    created: 'string',
    version: 'string',
    machine: 'string',
    candidates: {
      each: {
        fields: {
          label: 'string',
          model: 'string',
          suites: { each: { fields: { suite: 'string', items: 'number', accuracy: 'number', interval: 'interval' } } },
          ttft_ms: SUMMARY,
          decode_tokens_per_second: SUMMARY,
          tokens_per_answer: SUMMARY,
          peak_memory_bytes: { optional: 'number' },
        },
      },
    },
    accuracy_comparisons: { each: { fields: { suite: 'string', verdict: 'string' } } },
    measure_comparisons: { each: { fields: { measure: 'string', verdict: 'string' } } },
    scenarios: { each: { fields: { name: 'string', title: 'string', recommendation: 'string', lines: STRINGS } } },
    notes: STRINGS,
    items: {
      each: {
        fields: {
          suite: 'string',
          item: 'string',
          prompt: { optional: 'string' },
          expected: 'string',
          answers: {
            each: {
              fields: {
                candidate: 'string',
                sample: 'number',
                outcome: { optional: 'string' },
                extracted: 'string',
                why: 'string',
                tokens: 'number',
                finish_reason: 'string',
                reasoning: { optional: 'string' },
                text: { optional: 'string' },
              },
            },
          },
        },
      },
    },
  },
};

function isInterval(value: unknown): boolean {
  return value === null || (Array.isArray(value) && value.length === 2 && value.every((bound) => typeof bound === 'number'));
}

/** Throws Error that names the first place where the value has not the shape. */
function checkShape(value: unknown, shape: Shape, path: string): void {
  const refuse = (what: string): never => {
    throw new Error(`${path || 'the file'} is not ${what}`);
  };
  if (shape === 'interval') {
    if (!isInterval(value)) refuse('an interval');
  } else if (typeof shape === 'string') {
    if (typeof value !== shape) refuse(`a ${shape}`);
  } else if ('optional' in shape) {
    if (value !== null && value !== undefined) checkShape(value, shape.optional, path);
  } else if ('each' in shape) {
    if (!Array.isArray(value)) return refuse('an array');
    value.forEach((item, index) => checkShape(item, shape.each, `${path}[${index}]`));
  } else {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return refuse('an object');
    for (const [name, inner] of Object.entries(shape.fields)) {
      checkShape((value as Record<string, unknown>)[name], inner, path === '' ? name : `${path}.${name}`);
    }
  }
}

/** Reads a report; throws Error with the reason where the text is none. */
export function parseReport(text: string): Report {
  const value: unknown = JSON.parse(text);
  const version = (value as { report_version?: unknown } | null)?.report_version;
  if (version !== REPORT_VERSION) throw new Error(`report_version is not ${REPORT_VERSION}`);
  checkShape(value, REPORT, '');
  return value as Report;
}

/** Items on which the candidates' outcomes differ. */
export function isDiffering(item: ReportItem): boolean {
  return new Set(item.answers.map((answer) => answer.outcome)).size > 1;
}

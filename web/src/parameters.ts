/** The sampling parameters that a request may carry. */

export interface Parameter {
  name: string;
  min: number;
  max: number;
  step: number;
}

export const PARAMETERS = [
  { name: 'temperature', min: 0, max: 2, step: 0.05 },
  { name: 'top_p', min: 0, max: 1, step: 0.01 },
  { name: 'top_k', min: 0, max: 100_000, step: 1 },
  { name: 'min_p', min: 0, max: 1, step: 0.01 },
  { name: 'repetition_penalty', min: 0.1, max: 10, step: 0.05 },
  { name: 'presence_penalty', min: -2, max: 2, step: 0.1 },
  { name: 'frequency_penalty', min: -2, max: 2, step: 0.1 },
  { name: 'max_tokens', min: 1, max: 1_000_000, step: 1 },
  { name: 'reasoning_budget', min: 0, max: 1_000_000, step: 1 },
  { name: 'seed', min: 0, max: Number.MAX_SAFE_INTEGER, step: 1 },
] as const satisfies readonly Parameter[];

export type ParameterName = (typeof PARAMETERS)[number]['name'];

/** What the user set; what is absent is the model's default. */
export interface Settings {
  values: Partial<Record<ParameterName, number>>;
  stop: string[];
  system: string;
  /** Ask for the probability of each token. */
  logprobs: boolean;
}

export const NO_SETTINGS: Settings = { values: {}, stop: [], system: '', logprobs: false };

/** The number that a field's text stands for: undefined for an empty one, null for one that is not allowed. */
export function parseParameter(parameter: Parameter, text: string): number | undefined | null {
  if (text.trim() === '') return undefined;
  const value = Number(text);
  if (!Number.isFinite(value) || value < parameter.min || value > parameter.max) return null;
  return parameter.step === 1 && !Number.isInteger(value) ? null : value;
}

/** Settings as fields of a chat request. */
export function requestFields(settings: Settings): Record<string, unknown> {
  const stop = settings.stop.filter((text) => text !== '');
  return {
    ...settings.values,
    ...(stop.length > 0 ? { stop } : {}),
    ...(settings.logprobs ? { logprobs: true, top_logprobs: 10 } : {}),
  };
}

/** A select of the models that are served. */
import { models } from '../store.ts';

interface ModelChoiceProps {
  label: string;
  value: string;
  onChange: (id: string) => void;
}

export function ModelChoice({ label, value, onChange }: ModelChoiceProps) {
  return (
    <select class="model-choice" aria-label={label} title={label} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
      {models.value.map((model) => (
        <option key={model.id} value={model.id}>
          {model.id}
        </option>
      ))}
    </select>
  );
}

/** A select of the models that are served. */
import { models, shortName } from '../store.ts';

interface ModelChoiceProps {
  label: string;
  value: string;
  onChange: (id: string) => void;
}

/** A model's name as long as it has to be: without the folder before it, unless that is what tells it from another. */
function labelOf(id: string): string {
  const short = shortName(id);
  return models.value.some((other) => other.id !== id && shortName(other.id) === short) ? id : short;
}

export function ModelChoice({ label, value, onChange }: ModelChoiceProps) {
  if (models.value.length === 0) return <span class="model-choice" />;
  return (
    <select class="model-choice" aria-label={label} title={value || label} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
      {models.value.map((model) => (
        <option key={model.id} value={model.id}>
          {labelOf(model.id)}
        </option>
      ))}
    </select>
  );
}

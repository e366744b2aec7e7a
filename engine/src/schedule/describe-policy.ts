/** The policy's fields in words, for command lines and for docs/policy.md. */

import { type Policy, type PolicyField, policyFieldNames, policyFields } from './policy.js';

/** What a field is when it is left out: `4`, `the decode batch`. */
export function describeDefault({ default: otherwise }: PolicyField): string {
  if (typeof otherwise !== 'object') return String(otherwise);
  if ('inWords' in otherwise) return otherwise.inWords;
  return 'byStrategy' in otherwise ? otherwise.byStrategy : otherwise.byPlacement;
}

/** What a field means and takes, and what it is when left out; one line. */
export function describePolicyField(name: keyof Policy): string {
  const field: PolicyField = policyFields[name];
  const takes = field.kind === 'choice' ? `: ${Object.keys(field.words).join(', ')}` : '';
  const range = field.kind === 'share' ? `, ${field.limits.join(' to ')}` : '';
  return `${field.meaning}${range}${takes} (default: ${describeDefault(field)})`;
}

const titles: Readonly<Record<PolicyField['about'], string>> = {
  speculation: 'Speculation',
  batches: 'Batches',
  places: 'Places',
  weights: 'Weights',
  draft: 'The draft',
  ends: 'Ends',
};

/** All of docs/policy.md, which a test holds to be this. */
export function describePolicyFields(): string {
  return `# The policy

A policy is everything that a run can be told about how it is to be done, beyond its strategy. Every field can be left out. On the command line a field is a flag of the same name (\`--decode-batch 64\` for \`decodeBatch\`), in code and in experiments a property (\`{ decodeBatch: 64 }\`). *Planner* says along which axis \`plan\` searches a field, or why it leaves it alone.

This page is written from \`engine/src/schedule/policy-fields.ts\`, where a field is declared; a test fails when the two differ, and this writes it again: \`node -e "import('@specoffload/engine').then((e) => fs.writeFileSync('docs/policy.md', e.describePolicyFields()))"\`.
${Object.entries(titles)
  .map(([about, title]) => `\n## ${title}\n\n${table(about as PolicyField['about'])}`)
  .join('')}`;
}

function table(about: PolicyField['about']): string {
  const head = '| Field | Meaning | Takes | Default | Planner |\n|---|---|---|---|---|\n';
  const names = policyFieldNames.filter((name) => policyFields[name].about === about);
  return head + names.map((name) => `| ${row(name).join(' | ')} |\n`).join('');
}

function row(name: keyof Policy): string[] {
  const field: PolicyField = policyFields[name];
  const takes =
    field.kind === 'choice'
      ? Object.entries(field.words).map(([word, meaning]) => `\`${word}\`: ${meaning}`)
      : [`${field.kind === 'count' ? 'whole number' : 'number'} from ${field.limits.join(' to ')}`];
  const { axis } = field;
  return [
    ...[`\`${name}\``, field.meaning, takes.join('; '), describeDefault(field)],
    'notSearched' in axis ? `not: ${axis.notSearched}` : axis.map((one) => `\`${one}\``).join(', '),
  ];
}

/**
 * Every value of the governor's policy in one table: what it is for and what it may be. The reader of governor.yaml, its
 * JSON schema and the table of docs/governor.md come from it; the built-in values are those of `defaultPolicy`.
 */
import { z } from 'zod';
import { isUsd, maxUsd } from '../../machines/money.ts';
import { approvableActions, defaultPolicy, type GovernorPolicy, policyFields } from '../../machines/policy/values.ts';

export type PolicyField = keyof GovernorPolicy;

export interface FieldRule<T = unknown> {
  readonly schema: z.ZodType<T>;
  /** What is allowed, in words: part of error messages and of the documents. */
  readonly allowed: string;
  readonly help: string;
}

const second = 1_000;
const day = 86_400_000;

function whole(min: number, max: number, help: string): FieldRule<number> {
  return { schema: z.int().min(min).max(max), allowed: `a whole number from ${min} to ${max}`, help };
}

function dollars(help: string): FieldRule<number> {
  const schema = z.number().min(0).max(maxUsd).refine(isUsd);
  return { schema, allowed: 'US dollars from 0 with at most six decimals', help };
}

function orNull<T>({ schema, allowed, help }: FieldRule<T>): FieldRule<T | null> {
  return { schema: schema.nullable(), allowed: `${allowed}, or null`, help };
}

function choice<const T extends string>(names: readonly T[], help: string): FieldRule<T> {
  return { schema: z.enum(names), allowed: names.join(' or '), help };
}

function setOf<const T extends string>(names: readonly T[], help: string): FieldRule<readonly T[]> {
  const schema = z
    .array(z.enum(names))
    .refine((list) => new Set(list).size === list.length)
    .meta({ uniqueItems: true });
  return { schema, allowed: `a list of ${names.join(', ')}, each at most once`, help };
}

const table: { readonly [K in PolicyField]: FieldRule<GovernorPolicy[K]> } = {
  max_swarms_per_task: whole(
    1,
    100,
    'Most swarms on one task: its owner and those who help with a blocker; 1 asks nobody for help',
  ),
  max_cost_per_task: dollars('Highest `cost_estimate` that a task may be created with'),
  min_capability_match: {
    schema: z.number().min(0).max(1),
    allowed: 'a number from 0 to 1',
    help: 'Share of the required capabilities that a swarm must have to qualify',
  },
  max_cost_per_hour: orNull(
    dollars('Highest `cost_per_hour` of swarms that are matched, where a request names no limit; null means none'),
  ),
  circuit_breaker_failure_threshold: whole(
    1,
    1_000_000,
    'Failures in a row after which the circuit of a swarm opens, and it claims nothing',
  ),
  circuit_breaker_cooldown_ms: orNull(
    whole(
      100,
      30 * day,
      'Time after which a circuit that failures opened lets one trial through; null means only an operator closes it',
    ),
  ),
  open_circuit_tasks: choice(['keep', 'return'], 'What a swarm whose circuit opens does with the tasks it owns'),
  assign_tasks: {
    schema: z.boolean(),
    allowed: 'true or false',
    help: 'Whether tasks that do not say `assign` are pushed to the best swarm first',
  },
  assign_timeout_ms: whole(100, day, 'How long an assigned task waits for one swarm before the next one is asked'),
  help_timeout_ms: whole(100, day, 'How long a swarm has to answer a call for help before the next one is asked'),
  blocker_escalation_ms: orNull(
    whole(second, 30 * day, 'Time without progress after which a blocker goes to a person; null means never'),
  ),
  reputation_half_life_ms: orNull(
    whole(
      60 * second,
      3_650 * day,
      'Time in which the distance of a reputation from 0.5 halves; null means that it never fades',
    ),
  ),
  approvals_required: setOf(approvableActions, 'What an operator may do only after a person has approved of it'),
  approval_expiry_ms: whole(second, 30 * day, 'How long a question waits for a person before it expires'),
};

export const governorFields: { readonly [K in PolicyField]: FieldRule } = table;

/** Whether a name is that of a value of the policy, as it is written in a file. */
export function isPolicyField(name: string): name is PolicyField {
  return Object.hasOwn(table, name);
}

/** The table of docs/governor.md, in Markdown; a test keeps the page equal to it. */
export function policyMarkdown(): string {
  const rows = policyFields.map((name) => {
    const { allowed, help } = governorFields[name];
    return [`\`${name}\``, `\`${JSON.stringify(defaultPolicy[name])}\``, allowed, help].join(' | ');
  });
  const head = ['Value', 'Built-in', 'Allowed', 'What it is'];
  return [head.join(' | '), head.map(() => '---').join(' | '), ...rows].map((row) => `| ${row} |`).join('\n');
}

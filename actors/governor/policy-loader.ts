/**
 * Brings the policy of governor.yaml into force: looks at the file about every second, and records what it says when
 * that is another policy than the recorded one. A file that is not valid, or gone, changes nothing: the policy in force
 * goes on, and people are told.
 */
import { join } from 'node:path';
import { operatorId } from '../../machines/address.ts';
import { sameJson } from '../../machines/equality.ts';
import { governorPolicyRef } from '../../machines/policy/context.ts';
import type { LoadPolicy } from '../../machines/policy/events.ts';
import { policyMachine } from '../../machines/policy/machine.ts';
import { defaultPolicy, type GovernorPolicy } from '../../machines/policy/values.ts';
import type { Json } from '../../machines/record.ts';
import { FabricError } from '../../src/errors.ts';
import { invalidPolicy } from '../../src/policy/findings.ts';
import { builtInPolicy, parseGovernorPolicy, type SourcedPolicy } from '../../src/policy/governor-file.ts';
import { governorFile, readPolicyText, shownPath } from '../../src/policy/policies-dir.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import type { GovernorPart, GovernorParts } from './part.ts';

export type PolicyLoaderParts = Pick<GovernorParts, 'store' | 'clock' | 'log' | 'newId' | 'policy' | 'notify'>;

export interface PolicyLoaderOptions {
  /** The folder of the file; null: this process follows none. */
  readonly dir: string | null;
  /** What `infrafabric up` read from it. */
  readonly initial: GovernorPolicy;
}

const by = 'IF.governor';

/** What one look at the file found: its text, that there is none, or that it cannot be read. */
type Look = { readonly text: string | undefined } | { readonly unreadable: FabricError };

export class PolicyLoader implements GovernorPart {
  readonly #parts: PolicyLoaderParts;
  readonly #dir: string | null;
  /** Whether the policy in force came from a file, so that one that goes away must not relax it. */
  #hadFile: boolean;
  #last: Look | undefined;
  /** Whether what the last look found was dealt with. */
  #isTaken = false;

  constructor(parts: PolicyLoaderParts, { dir, initial }: PolicyLoaderOptions) {
    this.#parts = parts;
    this.#dir = dir;
    this.#hadFile = !sameJson(initial as unknown as Json, defaultPolicy as unknown as Json);
  }

  /** Brings the policy of the file into force, before anything is decided by it. @throws FabricError UNAVAILABLE */
  async start(): Promise<void> {
    if (this.#dir === null) return;
    const stored = await this.#parts.store.read(governorPolicyRef);
    if (stored) this.apply(stored);
    // A governor that starts again must not take a file that went away meanwhile for one that was never there.
    this.#hadFile ||= this.#parts.policy.recorded?.file === shownPath(this.#path);
    await this.#look();
  }

  apply(stored: StoredRecord): void {
    this.#parts.policy.apply(stored);
  }

  async sweep(): Promise<void> {
    if (this.#dir !== null) await this.#look();
  }

  /**
   * What has changed is taken when two looks in a row found it the same: an editor may have written the first half only.
   * @throws FabricError UNAVAILABLE: the next look tries again
   */
  async #look(): Promise<void> {
    const look = await this.#read();
    const isFirst = this.#last === undefined;
    const isSame = this.#last !== undefined && sameLook(this.#last, look);
    this.#last = look;
    if (isSame && this.#isTaken) return;
    this.#isTaken = false;
    if (!isFirst && !isSame) return;
    await this.#take(look);
    this.#isTaken = true;
  }

  async #read(): Promise<Look> {
    try {
      return { text: await readPolicyText(this.#path) };
    } catch (error) {
      if (error instanceof FabricError) return { unreadable: error };
      throw error;
    }
  }

  async #take(look: Look): Promise<void> {
    let found: SourcedPolicy;
    try {
      if ('unreadable' in look) throw look.unreadable;
      found = this.#policyOf(look.text);
    } catch (error) {
      if (!(error instanceof FabricError)) throw error;
      this.#tell(error);
      return;
    }
    await this.#load(found);
    this.#hadFile ||= found.file !== null;
  }

  /** @throws FabricError INVALID_REQUEST */
  #policyOf(text: string | undefined): SourcedPolicy {
    const file = shownPath(this.#path);
    if (text !== undefined) return parseGovernorPolicy(file, text);
    if (!this.#hadFile) return builtInPolicy();
    throw invalidPolicy([
      { file, line: null, message: 'the file is gone; put it back, or an empty one for the built-in values' },
    ]);
  }

  async #load({ policy, sources, file, digest }: SourcedPolicy): Promise<void> {
    const { store, newId, policy: known, log } = this.#parts;
    const { recorded } = known;
    if (recorded && recorded.digest === digest && recorded.file === file) return;
    const event: Omit<LoadPolicy, 'at'> = { type: 'LOAD', by, policy, sources, file, digest };
    const stored = await store.dispatch(policyMachine, governorPolicyRef.id, { ...event }, { by, trace_id: newId() });
    this.apply(stored);
    log.info({ file, digest }, 'the policy is in force');
  }

  #tell(error: FabricError): void {
    const { log, notify, clock, newId } = this.#parts;
    const file = shownPath(this.#path);
    log.error({ err: error, file }, 'the policy file is not valid; the policy in force goes on');
    notify(operatorId, 'escalation', {
      id: `policy.${newId()}`,
      type: 'policy_invalid',
      file,
      message: `${error.message}\nThe policy in force goes on; put the file right, it is read again by itself`,
      findings: (error.details?.['findings'] ?? []) as Json,
      at: clock.now(),
    });
  }

  get #path(): string {
    return join(this.#dir ?? '', governorFile);
  }
}

function sameLook(a: Look, b: Look): boolean {
  if ('unreadable' in a) return 'unreadable' in b && a.unreadable.message === b.unreadable.message;
  return !('unreadable' in b) && a.text === b.text;
}

/** The JSON schema of governor.yaml, for editors and for whoever makes policy files by program. */
import { z } from 'zod';
import { defaultPolicy, policyFields } from '../../machines/policy/values.ts';
import type { Json } from '../../machines/record.ts';
import { governorFields } from './governor-fields.ts';

/** Draft 2020-12. All keys may be left out; others are not allowed. Dollars have at most six decimals, which it does not say. */
export function governorJsonSchema(): Json {
  const shape = Object.fromEntries(
    policyFields.map((name) => {
      const { schema, help } = governorFields[name];
      return [name, schema.meta({ ...schema.meta(), description: help, default: defaultPolicy[name] }).optional()];
    }),
  );
  const schema = z.strictObject(shape).meta({ title: 'Policy of the InfraFabric governor' });
  return z.toJSONSchema(schema, { io: 'input' }) as Json;
}

/** The file `governor.schema.json`: lists of plain values stand on one line, as the formatter of the project has it. */
export function governorSchemaText(): string {
  const text = JSON.stringify(governorJsonSchema(), null, 2);
  return `${text.replaceAll(/\[\s+([^[\]{}]*?)\s+\]/g, (_, items: string) => `[${items.replaceAll(/,\s+/g, ', ')}]`)}\n`;
}

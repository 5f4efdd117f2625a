import Ajv from "ajv";
import type { JsonSchema } from "../../cli/schemas";

/** Keywords that ajv does not know: yaml-language-server's, and those of the references. */
const vocabulary = ["patternErrorMessage", "rules", "unit", "keyOfSite"];

/**
 * A check by a JSON Schema, as an editor does it: the findings, each with its place in the value.
 * @param definitions what the schema's `$ref` find in `#/definitions/`.
 */
export function validator(
  schema: JsonSchema,
  definitions = schema.definitions ?? {},
): (value: unknown) => string[] {
  // Each format has a pattern beside it. A schema may lack a type, beside `if` for instance.
  const ajv = new Ajv({ allErrors: true, validateFormats: false, strictTypes: false });
  ajv.addVocabulary(vocabulary);
  const validate = ajv.compile({ ...schema, definitions });
  return (value) => {
    validate(value);
    return (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message}`);
  };
}

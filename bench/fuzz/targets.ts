/** The operations of the contract, each with what the OpenAPI document says of it: one that is added is fuzzed without anybody's doing. */
import { contract, type Operation } from "../../server/api/contract.ts";
import { document } from "../harness/documented.ts";
import type { Json } from "./values.ts";

export interface Schema {
  type?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  enum?: Json[];
  const?: Json;
  anyOf?: Schema[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  format?: string;
  pattern?: string;
  $defs?: Record<string, Schema>;
}

interface Described {
  parameters: { name: string; in: "path" | "query" | "header"; required: boolean; schema: Schema }[];
  requestBody?: { content: Record<string, { schema: Schema }> };
}

/** An operation of the contract, and what the document says of it. */
export interface Target {
  name: string;
  operation: Operation;
  method: string;
  template: string;
  parameters: Described["parameters"];
  body: Schema | undefined;
  line: Schema | undefined;
}

export const targets: readonly Target[] = Object.entries<Operation>(contract).map(([name, operation]) => {
  const [method = "", template = ""] = operation.route.split(" ");
  const described = document.paths[template]?.[method.toLowerCase()] as unknown as Described;
  const content = described.requestBody?.content;
  return {
    name,
    operation,
    method,
    template,
    parameters: described.parameters,
    body: content?.["application/json"]?.schema,
    line: content?.["application/x-ndjson"]?.schema.$defs?.["item"],
  };
});

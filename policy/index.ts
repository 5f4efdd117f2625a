export type { Allowances } from "../configs/inventory";
export { type Resource, type Rule, rules, type Violation, violations } from "./rules";

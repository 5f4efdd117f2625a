export type { Allowances, Confirmation } from "../configs/inventory";
export { dataChanges } from "./changes";
export {
  changeRules,
  changeViolations,
  confirmationLines,
  confirmingNone,
  dataKept,
  unconfirmed,
  unusedConfirmations,
} from "./confirmations";
export type { DataChange } from "./data-change";
export { type Resource, type Rule, rules, type Violation, violations } from "./rules";
export { type Stored, storedBy } from "./stored";

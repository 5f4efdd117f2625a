export type { Allowances } from "../configs/inventory";
export * from "./rules";

import { InputError } from "../../configs/validation";

/** The error that bad input is refused with. @throws Error where it is accepted. */
export function refusalOf(work: () => unknown): InputError {
  try {
    work();
  } catch (error) {
    if (error instanceof InputError) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

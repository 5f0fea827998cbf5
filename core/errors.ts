// The one error class and the one closed list of codes. Exit codes and the `expect:` of vectors are driven by it (spec/names.md 7).

/** Every code, with the exit status of a command that ends with it. */
export const exitCodes = {
  usage: 2,
  'not-found': 10,
  locked: 11,
  conflict: 11,
  untrusted: 12,
  expired: 12,
  rollback: 12,
  corrupt: 13,
  malformed: 13,
  unavailable: 14,
  'no-space': 15,
  unsupported: 16,
  'command-failed': 17,
  interrupted: 130,
} as const

export type ErrorCode = keyof typeof exitCodes

/** Exit status of a `check` that says no, and of anything that is a bug. */
export const exitNo = 1
export const exitBug = 70

export type ErrorDetails = {
  /** A sentence that names the command to run next. */
  readonly hint?: string | undefined
  readonly cause?: unknown
}

/**
 * Message: lower case, no full stop, what we did, to what, why; both values when two disagree (`expected …, got …`).
 * Anything thrown that is not a PsyblobError is a bug and shows its stack.
 */
export class PsyblobError extends Error {
  readonly code: ErrorCode
  readonly hint: string | undefined

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'PsyblobError'
    this.code = code
    this.hint = details.hint
  }
}

/** True when `error` is ours and, if codes are given, carries one of them. */
export function isPsyblobError(error: unknown, ...codes: readonly ErrorCode[]): error is PsyblobError {
  return error instanceof PsyblobError && (codes.length === 0 || codes.includes(error.code))
}

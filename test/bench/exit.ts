// What has to be undone however the benchmark ends: at the end, on an error, on Ctrl-C.
const undo: (() => void)[] = []

/** Runs `action` at the end, after those given before (run.ts kills programs first); what it throws is passed over, the others matter more. */
export function atExit(action: () => void): void {
  undo.push(action)
}

/** Whether the process `pid`, which may have left things behind, is no more. */
export function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return false
  } catch {
    return true
  }
}

process.on('exit', () => {
  for (const action of undo) {
    try {
      action()
    } catch {}
  }
})
for (const [signal, number] of [
  ['SIGHUP', 1],
  ['SIGINT', 2],
  ['SIGTERM', 15],
] as const)
  process.on(signal, () => process.exit(128 + number))

// The watchdog that the initramfs armed: a system that nobody calls healthy in time is reset (spec/agent.md 3).
import { readFile } from 'node:fs/promises'
import { hasCode, readLimited, translated } from '../store/mod.ts'

const pidFile = '/run/psyblob/watchdog.pid'

/** Ends the process that holds the watchdog device, which lets go of it in order. False when there is none. */
export async function endWatchdog(path = pidFile): Promise<boolean> {
  const bytes = await readLimited(path, 64)
  const text = bytes === undefined ? '' : Buffer.from(bytes).toString('latin1').trim()
  const pid = /^[1-9]\d{0,8}$/.test(text) ? Number(text) : 1
  // the file may be older than the process that has this number now; init has number 1
  const name = pid === 1 ? '' : (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim()
  if (name !== 'busybox' && name !== 'watchdog') return false
  try {
    process.kill(pid, 'SIGTERM')
    return true
  } catch (error) {
    if (hasCode(error, 'ESRCH')) return false
    throw translated(error, `ending the watchdog, process ${pid}`)
  }
}

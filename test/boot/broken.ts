// Releases that do not boot, each in its own way.
import { cpSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A kernel that finds no init to run: it panics. */
export function panicking(from: string, to: string): void {
  rmSync(to, { recursive: true, force: true })
  cpSync(from, to, { recursive: true })
  // an archive with nothing in it but its end
  const name = 'TRAILER!!!\0'
  const header = `070701${'00000000'.repeat(11)}${name.length.toString(16).padStart(8, '0')}${'00000000'}`
  writeFileSync(join(to, 'initramfs'), Buffer.concat([Buffer.from(`${header}${name}`, 'latin1'), Buffer.alloc(512)]).subarray(0, 512))
}

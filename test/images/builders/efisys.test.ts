// The boot loader: the same bytes wherever and whenever it is built, another id for anything that is another.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buildEfisys, defaultEfisys } from '../../../images/builders/efisys.ts'
import type { EfisysOptions } from '../../../images/builders/recipe.ts'
import { openRun } from '../../../images/run.ts'
import { roleOf } from '../../../store/mod.ts'
import { refusal, temporaryFolder } from '../../fixtures/repository.ts'

let world: Awaited<ReturnType<typeof temporaryFolder>>
beforeAll(async () => {
  world = await temporaryFolder()
})
afterAll(() => world.remove())

async function build(name: string, options: Partial<EfisysOptions> = {}, epoch = 0) {
  const [work, out] = [join(world.dir, name, 'work'), join(world.dir, name, 'out')]
  await mkdir(work, { recursive: true })
  const report = () => undefined
  const context = { run: openRun(report), report, epoch, work, cache: work }
  await buildEfisys({ out, architecture: 'x86_64', dir: world.dir, options: { ...defaultEfisys, ...options } }, context)
  const read = (path: string) => readFile(join(out, path))
  return {
    loader: await read('EFI/BOOT/BOOTX64.EFI'),
    id: (await read('psyblob/loader')).toString(),
    script: (await read('psyblob/grub.cfg')).toString(),
    read,
  }
}

describe('the release of the EFI partition', () => {
  test('is the same bytes in another folder at another time', async () => {
    const one = await build('one')
    await new Promise((resolve) => setTimeout(resolve, 2100))
    const two = await build('elsewhere/two')
    expect(two.loader.equals(one.loader)).toBe(true)
    expect(two).toMatchObject({ id: one.id, script: one.script })
  })

  test('has a loader that tells its id, and another id for another script', async () => {
    const { id, script } = await build('plain')
    expect(id).toMatch(/^[0-9a-f]{16}\n$/)
    expect(script).toContain(`'psyblob.loader=${id.trim()}'`)
    expect((await build('quiet', { commandLine: 'quiet' })).id).not.toBe(id)
  })

  test('has the extra EFI programs, and entries for them', async () => {
    await writeFile(join(world.dir, 'memtest.efi'), 'MZ memtest')
    const { script, read } = await build('extra', { extraPrograms: [{ name: 'memtest', title: 'Memory test', from: 'memtest.efi' }] })
    expect((await read('EFI/tools/memtest.efi')).toString()).toBe('MZ memtest')
    expect(script).toContain("menuentry 'Memory test' {")
    expect(['/EFI/BOOT/BOOTX64.EFI', '/EFI/tools/memtest.efi'].map(roleOf)).toEqual(['efi', 'efi'])
    await writeFile(join(world.dir, 'text.efi'), 'a text')
    expect(await refusal(build('text', { extraPrograms: [{ name: 'text', title: 'Text', from: 'text.efi' }] }))).toBe(
      'malformed: text.efi is no EFI program',
    )
  })

  test('refuses words that GRUB would take for something else', async () => {
    expect(await refusal(build('odd', { commandLine: "it's" }))).toMatch(/^usage: the boot loader takes printable ASCII/)
  })
})

// What lies on disks: GRUB's environment, partition tables, FAT file systems, tar files.
import { open } from 'node:fs/promises'
import { isDeepStrictEqual } from 'node:util'
import { grub } from '../../images/bootloaders/grub.ts'
import { readTar } from '../../images/builders/tar-reader.ts'
import { formatEnvironment, parseEnvironment } from '../../images/environment-block.ts'
import { fatFiles } from '../../images/esp/fat-files.ts'
import { readLoaderState } from '../../images/esp/loader-state.ts'
import { readPartitions } from '../../images/gpt.ts'
import { emptyFat, sealGpt, sealTar, smallGpt, smallTar } from './disk-seeds.ts'
import { scratchFile } from './scratch.ts'
import { base64, utf8, vectorsOf } from './seeds.ts'
import { expectThat, type Target } from './target.ts'

type BootVector = { readonly files: Readonly<Record<string, string>> }
const blocks = () => vectorsOf<BootVector>('boot-state').flatMap(({ files }) => Object.values(files).map(base64))

const environment: Target = {
  name: 'environment',
  material: 'text',
  codes: [],
  seeds: async () => [formatEnvironment({ seq: '1000000001', order: 'ab', good: '', commit: '1000000001' }), ...blocks()],
  // a block of another length is none, whatever is in it
  seal: (input) => new Uint8Array(Buffer.concat([input, new Uint8Array(1024).fill(0x23)]).subarray(0, 1024)),
  parse(input) {
    const read = parseEnvironment(input)
    if (read === undefined) return 'none'
    const variables = Object.fromEntries(read)
    const text = JSON.stringify(variables)
    // only what is written by us is sure to fit
    if (text.length > 300 || /[^ -~]/.test(text) || [...read.keys()].some((name) => /^\d+$|^__proto__$/.test(name))) return 'other'
    expectThat(isDeepStrictEqual(parseEnvironment(formatEnvironment(variables)), read), 'written and read again it is another')
    return `${Math.min(read.size, 5)} variables`
  },
}

const names = ['state1/select', 'state2/select', 'tries', 'loader', 'trial'] as const

/** Files of 1,024 bytes, one after the other. */
const bootState: Target = {
  name: 'boot-state',
  material: 'text',
  codes: [],
  seeds: async () => [
    ...vectorsOf<BootVector>('boot-state').map(
      ({ files }) => new Uint8Array(Buffer.concat(names.map((name) => base64(files[name] ?? '')))),
    ),
    Uint8Array.from(
      Buffer.concat([
        ...[1, 2].map(() => formatEnvironment({ seq: '1000000003', order: 'ba', good: 'a', commit: '1000000003' })),
        formatEnvironment({ tries_for: '1000000003', tries: '2' }),
        formatEnvironment({ trial: '1000000002', id: 'x', commit: '1000000002' }),
        formatEnvironment({ trial_for: '1000000002' }),
      ]),
    ),
  ],
  async parse(input) {
    const read = async (name: string) => {
      const at = (names as readonly string[]).indexOf(name) * 1024
      return at < 0 || at >= input.length ? undefined : input.subarray(at, at + 1024)
    }
    const files = { label: 'input', read, create: () => Promise.reject(), writeSector: () => Promise.reject() }
    const { seq, order, good, tries, copies } = await grub(files).read()
    expectThat(seq === undefined || (seq >= 1e9 && seq < 2e9), `the number ${seq}`)
    expectThat(isDeepStrictEqual([...order].sort(), ['a', 'b']) && (tries ?? 0) <= 3, 'an order or tries that are none')
    const { asked, begun } = await readLoaderState(files)
    return `${copies} ${good.length} ${tries} ${asked === undefined} ${begun === undefined}`
  },
}

const gpt: Target = {
  name: 'gpt',
  material: 'bytes',
  codes: ['unsupported'],
  isHelpful: true,
  seeds: async () => [smallGpt(512), smallGpt(4096)],
  seal: sealGpt,
  async parse(input) {
    await using disk = await opened('disk', input)
    const partitions = await readPartitions(disk.file, 'disk.img')
    for (const { offset, size } of partitions)
      expectThat(offset >= 0 && size > 0 && Number.isSafeInteger(offset + size), `a partition of ${size} bytes at ${offset}`)
    return `${Math.min(partitions.length, 4)} partitions`
  },
}

async function opened(name: string, input: Uint8Array) {
  const file = await open(scratchFile(name, input), 'r')
  return { file, [Symbol.asyncDispose]: () => file.close() }
}

async function filledFat(bits: 12 | 16 | 32): Promise<Uint8Array> {
  const path = scratchFile(`fat${bits}`, emptyFat(bits))
  const files = fatFiles({ path, offset: 0, label: 'fat' })
  await files.write('EFI/X.EFI', utf8('a loader'.repeat(70)))
  await files.write('a longer name.txt', utf8('x'))
  await using written = await openedPath(path)
  return new Uint8Array(await written.file.readFile())
}

async function openedPath(path: string) {
  const file = await open(path, 'r')
  return { file, [Symbol.asyncDispose]: () => file.close() }
}

const fat: Target = {
  name: 'fat',
  material: 'bytes',
  codes: ['unsupported', 'corrupt', 'no-space', 'conflict', 'malformed'],
  isHelpful: true,
  seeds: async () => [...(await Promise.all(([12, 16, 32] as const).map(filledFat))), emptyFat(12)],
  async parse(input) {
    const files = fatFiles({ path: scratchFile('fat', input), offset: 0, label: 'fat' })
    const listed = await files.list()
    const { free, cluster } = await files.room()
    expectThat(free >= 0 && cluster > 0, 'less room than none')
    for (const { path } of listed.slice(0, 5)) await files.read(path, { limit: 64 * 1024 })
    await files.mend()
    const bytes = utf8('new bytes'.repeat(20))
    await files.write('EFI/NEW.EFI', bytes)
    expectThat(Buffer.compare((await files.read('EFI/NEW.EFI')) ?? new Uint8Array(), bytes) === 0, 'other bytes than were written')
    expectThat((await files.list()).length >= listed.length, 'a write took other files away')
    await files.remove('EFI/NEW.EFI')
    return `${Math.min(listed.length, 5)} files`
  },
}

const tar: Target = {
  name: 'tar',
  material: 'bytes',
  codes: ['malformed', 'unsupported'],
  isHelpful: true,
  seeds: async () => [smallTar()],
  seal: sealTar,
  async parse(input) {
    await using made = await opened('tar', input)
    let count = 0
    for await (const { path, kind, link, size, uid, at } of readTar(made.file, 'root.tar')) {
      count++
      for (const one of [path, ...(kind === 'hardlink' ? [link] : [])])
        expectThat(!one.startsWith('/') && !one.split('/').includes('..'), `a path that leads out: ${one}`)
      expectThat(Number.isSafeInteger(size) && size >= 0 && Number.isSafeInteger(uid), 'a number that is none')
      expectThat(at <= input.length, 'an entry behind the end')
    }
    return `${Math.min(count, 5)} entries`
  },
}

export const diskTargets: readonly Target[] = [environment, bootState, gpt, fat, tar]

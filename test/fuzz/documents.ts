// The documents that are signed, and what people write: manifest, pointer, root, composition, recipe.
import { isDeepStrictEqual } from 'node:util'
import {
  cidOf,
  formatManifest,
  formatPointer,
  formatRoot,
  joinPointerFile,
  parseComposition,
  parseManifest,
  parsePointer,
  parseRoot,
  splitPointerFile,
} from '../../core/mod.ts'
import { readRecipe } from '../../images/builders/recipe-file.ts'
import { exampleKey, keyNumber, signed } from './keys.ts'
import { scratchFile } from './scratch.ts'
import { specText, textOf, utf8, vectorTexts } from './seeds.ts'
import { expectThat, type Target } from './target.ts'

const cid = cidOf(new Uint8Array(32).fill(7))
const times = { issued: '2026-11-23T10:15:00Z', expires: '2027-11-23T10:15:00Z' }
const keys = [1, 2, 3].map((number) => keyNumber(number).publicKey)
const role = { threshold: 2, keys }

const rootBody = formatRoot({
  ...{ repo: 'org.example.os', version: 3, ...times },
  roles: { root: role, release: { '*': role, os: { threshold: 1, keys: [exampleKey.publicKey] } }, pointer: { stable: role } },
  ...{ floors: { os: 12, efisys: 2 }, revoked: [cid, cidOf(new Uint8Array(32))] },
})
const release = { serial: 17, manifest: cid, size: 900 }
const pointerBody = formatPointer({
  ...{ repo: 'org.example.os', channel: 'stable', version: 40, ...times, root: 3 },
  products: { os: release, efisys: { ...release, serial: 4 } },
})

/** A line that was accepted is the only text for what it says. */
function expectOneText(line: string): void {
  expectThat(JSON.stringify(JSON.parse(line)) === line, 'two texts for one value')
}

const manifest: Target = {
  name: 'manifest',
  material: 'json',
  codes: ['malformed'],
  seeds: async () => vectorTexts('manifest', 'text').map(utf8),
  parse(input) {
    const read = parseManifest(input, 'manifest')
    const lines = textOf(input).split('\n')
    expectThat(lines.pop() === '' && lines.length === read.entries + 1, 'lines that are no entries')
    lines.forEach(expectOneText)
    expectThat(isDeepStrictEqual(parseManifest(formatManifest(read), 'again'), read), 'written and read again it is another')
    expectThat(!read.records.some(({ path }) => path.split('/').includes('..')), 'a path that climbs')
    return `${Math.min(read.records.length, 4)} entries ${new Set(read.records.map(({ role, mod }) => `${role}${mod >> 12}`)).size}`
  },
}

const pointer: Target = {
  name: 'pointer',
  material: 'json',
  codes: ['malformed'],
  seeds: async () => [pointerBody, ...vectorTexts('pointer', 'text').map(utf8)],
  parse(input) {
    const read = parsePointer(input)
    expectThat(textOf(input).endsWith('\n'), 'a line without its end')
    expectOneText(textOf(input).slice(0, -1))
    expectThat(isDeepStrictEqual(parsePointer(formatPointer(read)), read), 'written and read again it is another')
    return `${Object.keys(read.products).length} products`
  },
}

const pointerFile: Target = {
  name: 'pointer-file',
  material: 'text',
  codes: ['malformed'],
  seeds: async () => [
    joinPointerFile({ body: pointerBody, signatures: await signed(exampleKey, textOf(pointerBody), 'psyblob type=pointer') }),
    utf8('<html>\n<body>\n'),
  ],
  parse(input) {
    const file = splitPointerFile(input, 'pointer')
    expectThat(Buffer.compare(joinPointerFile(file), input) === 0, 'joined again it is another')
    expectThat(file.body.indexOf(0x0a) === file.body.length - 1, 'a body of another number of lines than one')
    return 'split'
  },
}

const root: Target = {
  name: 'root',
  material: 'json',
  codes: ['malformed'],
  seeds: async () => [rootBody, ...vectorTexts('root', 'text').map(utf8)],
  parse(input) {
    const { psyblob: _, ...read } = parseRoot(input)
    const text = textOf(input)
    expectOneText(text.slice(0, -1))
    const { psyblob: __, ...again } = parseRoot(formatRoot(read))
    const sorted = { ...read, revoked: [...read.revoked].sort() }
    expectThat(isDeepStrictEqual(again, sorted), 'written and read again it is another')
    const roles = [read.roles.root, ...Object.values(read.roles.release), ...Object.values(read.roles.pointer)]
    for (const { threshold, keys } of roles) {
      expectThat(threshold >= 1 && new Set(keys.map(({ key }) => key.join())).size >= threshold, 'a threshold that cannot be met')
      for (const key of keys) expectThat(text.includes(JSON.stringify(key.text)), 'a key in another spelling')
    }
    return `${roles.length} roles ${Object.keys(read.floors).length} floors ${read.revoked.length} revoked`
  },
}

const composition: Target = {
  name: 'composition',
  material: 'json',
  codes: ['malformed'],
  seeds: async () => vectorTexts('composition', 'text').map(utf8),
  parse(input) {
    const read = parseComposition(textOf(input), 'composition')
    const again = parseComposition(read.map((component) => JSON.stringify(component)).join('\n'), 'again')
    expectThat(isDeepStrictEqual(again, read), 'written and read again it is another')
    return read.map(({ target }) => target.kind).join()
  },
}

const small = `psyblob: recipe/1
distribution: none
from: root.tar
kernel: {dir: boot}
files:
  - {path: /etc/motd, mode: 0644, text: hello}
  - {path: /bin/x, link: y}
initramfs: {watchdog: 10m}
squashfs: {compression: gzip, level: 9, block: 128K}
agent: {every: 1h, reboot: 02:00-04:00, patience: 5m}
composition: [{name: os, key: RWQ, uris: [https://os.example/]}]
efisys: {timeout: 3, extra-programs: [{name: memtest, title: Memory, from: m.efi}]}
`

const aliases = `psyblob: recipe/1
distribution: alpine
branch: v3.21
commands: &list [&word a, *word]
exclude: [/a]
packages: *list
program: none
composition: &all
  - &one {name: os, key: &key RWQ, uris: &uris [https://os.example/]}
  - {name: efisys, key: *key, uris: *uris, target: &target {kind: esp}}
`

const recipe: Target = {
  name: 'recipe',
  material: 'text',
  codes: ['malformed'],
  isHelpful: true,
  seeds: async () => [small, aliases, ...['recipes/debian.yaml', 'recipes/alpine.yaml'].map(specText)].map(utf8),
  async parse(input) {
    const read = await readRecipe(scratchFile('recipe', input))
    // what is read is plain data: nothing in it leads back to itself
    JSON.stringify(read)
    return `${read.root.distribution} ${read.psyblob.program}`
  },
}

export const documentTargets: readonly Target[] = [manifest, pointer, pointerFile, root, composition, recipe]

// What GRUB chooses, by its own script, on every state that its files may be in.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { grubConfig } from '../../../images/bootloaders/grub-config.ts'
import { formatEnvironment } from '../../../images/environment-block.ts'
import { isBlock, readVariables, setVariable } from './grub-environment.ts'
import { type GrubEnd, type GrubWorld, runGrub } from './grub-script.ts'

const options = {
  id: '0123456789abcdef',
  commandLine: 'quiet',
  timeout: 3,
  serial: 115_200,
  extraPrograms: [{ name: 'memtest', title: 'Memory test (memtest86+)' }],
  loader: 'BOOTX64',
}
const script = grubConfig(options)
const esp = '(hd0,gpt1)'
const slots = { a: '(hd0,gpt3)', b: '(hd0,gpt4)' } as const

type State = {
  readonly seq?: number
  readonly order?: 'ab' | 'ba'
  readonly good?: string
  readonly tries?: number
  readonly triesFor?: number
}

const select = (seq: number, order: string, good: string) =>
  Buffer.from(formatEnvironment({ seq: String(seq), order, good, commit: String(seq) }))

function world({ seq = 1_000_000_005, order = 'ab', good = '', tries = 0, triesFor = seq }: State = {}): GrubWorld {
  return {
    files: new Map([
      [`${esp}/state1/select`, select(seq, order, good)],
      [`${esp}/state2/select`, select(seq, order, good)],
      [`${esp}/tries`, Buffer.from(formatEnvironment({ tries_for: String(triesFor), tries: String(tries) }))],
      ...Object.values(slots).flatMap((slot) =>
        ['kernel', 'initramfs', 'manifest'].map((name): [string, Buffer] => [`${slot}/${name}`, Buffer.from(name)]),
      ),
    ]),
    folders: new Set([1, 2, 3, 4].map((n) => `(hd0,gpt${n})/`)),
    systems: new Map([
      ['hd0,gpt1', { label: 'PSYOPSOSEFI', uuid: '1234-ABCD' }],
      ['hd0,gpt2', { label: 'psyops-secret', uuid: 's' }],
      ['hd0,gpt3', { label: 'psyopsOS-A', uuid: 'uuid-a' }],
      ['hd0,gpt4', { label: 'psyopsOS-B', uuid: 'uuid-b' }],
    ]),
    cmdpath: `${esp}/EFI/BOOT`,
  }
}

/** The slot that boots, or what else became of it. */
function slotOf(end: GrubEnd): string {
  if (end.kind !== 'boot') return end.kind
  return end.kernel.startsWith(slots.a) ? 'a' : end.kernel.startsWith(slots.b) ? 'b' : end.kernel
}

/** Is being written. */
function half(of: GrubWorld, slot: 'a' | 'b'): void {
  of.files.delete(`${slots[slot]}/manifest`)
  of.files.set(`${slots[slot]}/.psyblob/part`, Buffer.from('part'))
  of.folders.add(`${slots[slot]}/.psyblob`)
}

const start = (of: GrubWorld) => slotOf(runGrub(script, of))
const triesText = (of: GrubWorld) => of.files.get(`${esp}/tries`)?.toString('latin1').replace(/#*$/, '')

describe('GRUB', () => {
  test('tells the kernel the slot, its file system, the disk and the loader', () => {
    const end = runGrub(script, world({ good: 'a' }))
    expect(end).toEqual({
      kind: 'boot',
      kernel: '(hd0,gpt3)/kernel',
      words: [
        'psyopsos=psyopsOS-A',
        'psyblob.slot=uuid-a',
        'psyblob.hd=hd0',
        'psyblob.loader=0123456789abcdef',
        'panic=10',
        'quiet',
        'console=tty0',
        'console=ttyS0,115200',
      ],
    })
  })

  test('gives a slot that is not yet good three tries, then the other', () => {
    const of = world({ order: 'ba', good: 'a' })
    expect([1, 2, 3, 4, 5].map(() => start(of))).toEqual(['b', 'b', 'b', 'a', 'a'])
    expect(triesText(of)).toContain('tries_for=1000000005\ntries=3\n')
  })

  test('never counts a slot that is good', () => {
    const of = world({ order: 'ba', good: 'ab' })
    const before = triesText(of)
    expect(Array.from({ length: 10 }, () => start(of))).toEqual(Array(10).fill('b'))
    expect(triesText(of)).toBe(before)
  })

  test('counts anew for a new seq', () => {
    expect(start(world({ order: 'ba', good: 'a', tries: 3, triesFor: 1_000_000_004 }))).toBe('b')
    expect(start(world({ order: 'ba', good: 'a', tries: 3 }))).toBe('a')
  })

  test('takes the newer of two copies, and the one that is whole', () => {
    const newer = world({ order: 'ab', good: 'ab' })
    newer.files.set(`${esp}/state2/select`, select(1_000_000_006, 'ba', 'ab'))
    expect(start(newer)).toBe('b')
    const torn = world({ order: 'ab', good: 'ab' })
    const other = select(1_000_000_006, 'ba', 'ab').toString('latin1').replace('commit=1000000006', 'commit=1000000005')
    torn.files.set(`${esp}/state2/select`, Buffer.from(other, 'latin1'))
    expect(start(torn)).toBe('a')
  })

  test('goes on when a kernel does not load, and when a slot has no manifest', () => {
    expect(start({ ...world({ order: 'ba', good: 'ab' }), badKernels: new Set(['(hd0,gpt4)/kernel']) })).toBe('a')
    const empty = world({ order: 'ba', good: 'a' })
    empty.files.delete('(hd0,gpt4)/manifest')
    expect(start(empty)).toBe('a')
    expect(triesText(empty)).toContain('tries=0')
  })

  test('tries no slot that is not good when its tries cannot be kept', () => {
    const of = { ...world({ order: 'ba', good: 'a' }), readOnly: new Set([`${esp}/tries`]) }
    expect([1, 2, 3, 4].map(() => start(of))).toEqual(['a', 'a', 'a', 'a'])
  })

  test('believes no write: a slot that is not good is not tried when its try was not kept', () => {
    const of = { ...world({ order: 'ba', good: 'a' }), lying: new Set([`${esp}/tries`]) }
    expect([1, 2, 3, 4].map(() => start(of))).toEqual(['a', 'a', 'a', 'a'])
    const none = { ...world({ order: 'ba' }), lying: new Set([`${esp}/tries`]) }
    expect(start(none)).toBe('b')
  })

  test('gives both slots three tries in turn, without an end, when neither is good', () => {
    const of = world({ order: 'ba' })
    expect(Array.from({ length: 14 }, () => start(of)).join('')).toBe('bbbaaabbbaaabb')
    const alone = world({ order: 'ab' })
    half(alone, 'b')
    expect(Array.from({ length: 8 }, () => start(alone)).join('')).toBe('aaaaaaaa')
  })

  test('gives the other slot its tries at once when the first one holds no release', () => {
    const of = world({ order: 'ab' })
    half(of, 'a')
    expect(start(of)).toBe('b')
    expect(triesText(of)).toContain('tries=4')
  })

  test('goes back to what psyopsOS left, when what psyblob wrote does not boot', () => {
    const of = world({ order: 'ba' })
    of.files.delete(`${slots.a}/manifest`)
    expect(Array.from({ length: 8 }, () => start(of)).join('')).toBe('bbbaaaaa')
    // the state was lost, so that the old slot stands first
    const lost = world({ order: 'ba' })
    lost.files.delete(`${slots.a}/manifest`)
    for (const name of ['state1/select', 'state2/select']) lost.files.delete(`${esp}/${name}`)
    expect(Array.from({ length: 8 }, () => start(lost)).join('')).toBe('bbbaaaaa')
  })

  test('boots what psyopsOS left where there is no manifest, but nothing half-written', () => {
    const of = world({ order: 'ba', tries: 3, good: '' })
    for (const slot of Object.values(slots)) of.files.delete(`${slot}/manifest`)
    expect(start(of)).toBe('b')
    half(of, 'b')
    expect(start(of)).toBe('a')
    half(of, 'a')
    expect(start(of)).toBe('reboot')
  })

  test('takes an ISO image that is attached when no slot loads, else begins again, and waits for nobody in a rescue shell', () => {
    const of = { ...world({ good: 'ab' }), badKernels: new Set(Object.values(slots).map((slot) => `${slot}/kernel`)) }
    expect(start(of)).toBe('reboot')
    const systems = new Map([['cd0', { label: 'PSYOPSOSISO', uuid: 'iso' }], ...of.systems])
    for (const name of ['kernel', 'initramfs']) of.files.set(`(cd0)/${name}`, Buffer.from(name))
    const end = runGrub(script, { ...of, systems })
    expect(end).toMatchObject({ kernel: '(cd0)/kernel', words: expect.arrayContaining(['psyopsos=PSYOPSOSISO']) })
    expect(end.kind === 'boot' ? end.words : []).not.toContain('psyblob.rescue')
    // without its initramfs a kernel is of no use
    const bare = world({ good: 'ab' })
    bare.files.delete(`${slots.a}/initramfs`)
    expect(start(bare)).toBe('b')
  })

  test('finds its EFI partition where the firmware does not say it', () => {
    expect(start({ ...world({ order: 'ba', good: 'ab' }), cmdpath: '' })).toBe('b')
  })

  test('looks at its own disk only', () => {
    const of = world({ good: 'a' })
    const systems = new Map([['hd1,gpt3', { label: 'psyopsOS-A', uuid: 'foreign' }], ...of.systems])
    expect(start({ ...of, systems, folders: new Set([...of.folders, '(hd1,gpt3)/']) })).toBe('a')
  })

  test('boots the ISO image it was started from', () => {
    const systems = new Map([['cd0', { label: 'PSYOPSOSISO', uuid: '2026-01-01-00-00-00-00' }]])
    const files = new Map([
      ['(cd0)/kernel', Buffer.from('k')],
      ['(cd0)/initramfs', Buffer.from('i')],
    ])
    expect(runGrub(script, { files, folders: new Set(), systems, cmdpath: '(cd0)/EFI/BOOT' })).toMatchObject({
      kernel: '(cd0)/kernel',
      words: expect.arrayContaining(['psyopsos=PSYOPSOSISO']),
    })
  })

  test('tries a new loader once, if that can be kept', () => {
    const loader = (id = 'fedcba9876543210') => Buffer.from(formatEnvironment({ trial: '1000000001', id, commit: '1000000001' }))
    const of = world({ good: 'a' })
    of.files.set(`${esp}/EFI/BOOT/BOOTX64.NEW`, Buffer.from('MZ new'))
    of.files.set(`${esp}/loader`, loader())
    of.files.set(`${esp}/trial`, Buffer.from(formatEnvironment({ trial_for: '0000000000' })))
    expect([1, 2].map(() => start(of))).toEqual(['chain', 'a'])
    of.files.set(`${esp}/trial`, Buffer.from(formatEnvironment({ trial_for: '0000000000' })))
    expect(start({ ...of, readOnly: new Set([`${esp}/trial`]) })).toBe('a')
    expect(start({ ...of, files: new Map(of.files).set(`${esp}/loader`, loader('0123456789abcdef')) })).toBe('a')
    expect(start({ ...of, files: new Map(of.files).set(`${esp}/EFI/BOOT/BOOTX64.NEW`, Buffer.from('garbage')) })).toBe('a')
  })
})

describe('a damaged state file', () => {
  const names = ['state1/select', 'state2/select', 'tries'] as const
  /** The state in question: the new slot b stands first, a is the last good one. */
  const flipped = (tries = 0) => world({ order: 'ba', good: 'a', tries })

  /** What becomes of it over many starts: always a slot, and in the end the good one, for b never says that it is well. */
  function settles(of: GrubWorld): void {
    const starts = Array.from({ length: 4 }, () => start(of))
    for (const one of starts) expect(['a', 'b']).toContain(one)
    expect(starts.slice(3)).toEqual(['a'])
  }

  test.each(names)('%s, cut to each of its 1,024 lengths, leads to the last good slot', (name) => {
    for (let length = 0; length < 1024; length++) {
      const of = flipped()
      of.files.set(`${esp}/${name}`, (of.files.get(`${esp}/${name}`) as Buffer).subarray(0, length))
      settles(of)
    }
  })

  test('both copies at once, cut to each length, lead to a slot: which one was good is not known then', () => {
    for (let length = 0; length < 1024; length++) {
      const of = flipped()
      for (const name of ['state1/select', 'state2/select'])
        of.files.set(`${esp}/${name}`, (of.files.get(`${esp}/${name}`) as Buffer).subarray(0, length))
      for (let boots = 0; boots < 6; boots++) expect(['a', 'b']).toContain(start(of))
    }
  })

  test.each(names)('%s, with any byte of its first sector changed, leads to the last good slot', (name) => {
    // the variables, and some of the filling
    for (let at = 0; at < 512; at += at < 128 ? 1 : 16) {
      for (const byte of [0x00, 0x0a, 0x23, 0x39]) {
        const of = flipped()
        const bytes = Buffer.from(of.files.get(`${esp}/${name}`) as Buffer)
        bytes[at] = byte
        of.files.set(`${esp}/${name}`, bytes)
        settles(of)
      }
    }
  })

  test('or none at all, leads to a slot', () => {
    for (let which = 1; which < 8; which++) {
      const of = flipped()
      for (const [at, name] of names.entries()) if ((which & (1 << at)) !== 0) of.files.delete(`${esp}/${name}`)
      const starts = Array.from({ length: 4 }, () => start(of))
      for (const one of starts) expect(['a', 'b']).toContain(one)
      // with one copy left it is known what is good
      if (which !== 3 && which !== 7) expect(starts.slice(3)).toEqual(['a'])
    }
  })
})

describe('whatever the state', () => {
  const kinds = ['complete', 'half', 'foreign', 'absent'] as const
  const arbitrary = fc.record({
    order: fc.constantFrom('ab' as const, 'ba' as const),
    good: fc.constantFrom('', 'a', 'b', 'ab'),
    tries: fc.integer({ min: 0, max: 9 }),
    triesFor: fc.constantFrom(1_000_000_005, 1_000_000_004),
    kinds: fc.tuple(fc.constantFrom(...kinds), fc.constantFrom(...kinds)),
    bad: fc.subarray(['a', 'b'] as const),
    kept: fc.boolean(),
    lost: fc.subarray(['state1/select', 'state2/select', 'tries']),
  })
  type Case = typeof arbitrary extends fc.Arbitrary<infer One> ? One : never

  function worldOf({ kinds, bad, kept, lost, ...state }: Case): GrubWorld {
    const of = world(state)
    for (const [at, name] of (['a', 'b'] as const).entries()) {
      if (kinds[at] === 'half') half(of, name)
      if (kinds[at] === 'foreign') of.files.delete(`${slots[name]}/manifest`)
      if (kinds[at] === 'absent') for (const file of ['kernel', 'initramfs', 'manifest']) of.files.delete(`${slots[name]}/${file}`)
    }
    for (const name of lost) of.files.delete(`${esp}/${name}`)
    return {
      ...of,
      badKernels: new Set(bad.map((name) => `${slots[name]}/kernel`)),
      ...(kept ? {} : { readOnly: new Set([`${esp}/tries`]) }),
    }
  }

  test('GRUB ends in a slot that may boot and loads, else in a new beginning; and no bad release keeps a machine', () => {
    fc.assert(
      fc.property(arbitrary, (one) => {
        const of = worldOf(one)
        const starts = Array.from({ length: 10 }, () => start(of))
        const kindOf = { a: one.kinds[0], b: one.kinds[1] }
        const loads = (['a', 'b'] as const).filter(
          (name) => (kindOf[name] === 'complete' || kindOf[name] === 'foreign') && !one.bad.includes(name),
        )
        for (const got of starts) expect(loads.length === 0 ? ['reboot'] : loads).toContain(got)
        const isKnown = !(one.lost.includes('state1/select') && one.lost.includes('state2/select'))
        const isGood = (name: 'a' | 'b') => isKnown && kindOf[name] === 'complete' && one.good.includes(name)
        const proven = loads.filter((name) => isGood(name) || kindOf[name] === 'foreign')
        // with a slot that is known to boot, one that is not has its three tries and no more
        if (proven.length > 0) for (const got of starts.slice(3)) expect(proven).toContain(got)
        // without one, and with tries that are kept, each that loads has its turn
        const counts = one.kept && !one.lost.includes('tries')
        if (proven.length === 0 && counts) for (const name of loads) expect(starts).toContain(name)
      }),
      { numRuns: 1500 },
    )
  })
})

describe('the script', () => {
  test('is one that GRUB can read', () => {
    const dir = mkdtempSync(join(tmpdir(), 'psyblob-grub-'))
    try {
      writeFileSync(join(dir, 'grub.cfg'), script)
      execFileSync('grub-script-check', [join(dir, 'grub.cfg')])
    } finally {
      rmSync(dir, { recursive: true })
    }
  })

  test.each(["it's", 'a"b', 'back\\slash', 'new\nline', 'ümlaut'])('has no word that GRUB would take for something else: %j', (word) => {
    for (const changed of [{ extraPrograms: [{ name: 'x', title: word }] }, { commandLine: word.replace('\n', '\u0007') }])
      expect(() => grubConfig({ ...options, ...changed })).toThrow(/takes printable ASCII/)
  })

  test('keeps what the kernel is told as one word each', () => {
    const odd = grubConfig({ ...options, commandLine: ' a=$b;reboot  {c} (d) #e *' })
    const end = runGrub(odd, world({ good: 'a' }))
    expect(end.kind === 'boot' ? end.words.slice(5, -2) : end).toEqual(['a=$b;reboot', '{c}', '(d)', '#e', '*'])
  })

  test('tells the kernel of no serial port that is not there', () => {
    const end = runGrub(grubConfig({ ...options, serial: 0 }), world({ good: 'a' }))
    expect(end.kind === 'boot' ? end.words.slice(-2) : end).toEqual(['quiet', 'console=tty0'])
  })
})

describe('our reading of environment blocks', () => {
  test('is that of grub-editenv', () => {
    const dir = mkdtempSync(join(tmpdir(), 'psyblob-grub-'))
    const path = join(dir, 'block')
    const editenv = (...words: readonly string[]) => {
      try {
        return execFileSync('grub-editenv', [path, ...words], { stdio: ['ignore', 'pipe', 'pipe'] }).toString('latin1')
      } catch {
        return undefined
      }
    }
    const block = Buffer.from(formatEnvironment({ tries_for: '1000000005', tries: '2' }))
    const damage = fc.record({
      length: fc.oneof({ weight: 3, arbitrary: fc.constant(1024) }, fc.integer({ min: 0, max: 1024 })),
      // a NUL ends what grub-editenv prints of a line, and is left to the tests of the script
      bytes: fc.array(fc.tuple(fc.integer({ min: 20, max: 80 }), fc.constantFrom(0x0a, 0x23, 0x3d, 0x41, 0x5c)), { maxLength: 4 }),
    })
    try {
      fc.assert(
        fc.property(damage, ({ length, bytes }) => {
          const damaged = Buffer.from(block)
          for (const [at, byte] of bytes) damaged[at] = byte
          const cut = damaged.subarray(0, length)
          writeFileSync(path, cut)
          const listed = isBlock(cut)
            ? readVariables(cut)
                .map(([name, value]) => `${name}=${value}\n`)
                .join('')
            : undefined
          expect(editenv('list')).toBe(listed)
          if (!isBlock(cut)) return
          const changed = setVariable(cut, 'tries', '3')
          expect(editenv('set', 'tries=3') === undefined).toBe(changed === undefined)
          expect(readFileSync(path).equals(changed ?? cut)).toBe(true)
        }),
        { numRuns: 150 },
      )
    } finally {
      rmSync(dir, { recursive: true })
    }
  })
})

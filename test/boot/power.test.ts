// The plug is pulled at any moment of an update, of slots and of the boot loader: every time the machine boots, and in the end it is up to date.
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { json, must, shell } from './console.ts'
import { Guest } from './qemu.ts'
import { Workshop } from './workshop.ts'

const minimal = join(import.meta.dirname, 'minimal')
const osCuts = Number(process.env['PSYBLOB_OS_CUTS'] ?? 30)
const efiCuts = Number(process.env['PSYBLOB_EFI_CUTS'] ?? 20)

describe('a machine that loses its power', () => {
  const workshop = new Workshop(18082)
  let machine: Guest | undefined
  let disk = ''
  let published = 0

  beforeAll(async () => {
    workshop.os(workshop.recipe(minimal, 'one'), 'os-1')
    workshop.os(workshop.recipe(minimal, 'two', { files: ['{ path: /etc/release-two, text: "two\\n" }'] }), 'os-2')
    workshop.efisys('efisys-1')
    workshop.efisys('efisys-2', 2)
    workshop.publish('os', 'os-1', 'first')
    workshop.publish('efisys', 'efisys-1', 'first')
    await workshop.serve()
    disk = workshop.disk('disk.img')
  }, 600_000)

  afterEach(() => machine?.kill())

  afterAll(() => {
    workshop.close()
  })

  const start = () => Guest.start(disk, { dir: workshop.dir, network: 'user', memory: 768, reboots: true })

  /** Something new each time: the other of two. */
  const publishNext = (product: 'os' | 'efisys') => {
    published++
    workshop.publish(product, `${product}-${(published % 2) + 1}`, `v${published}`)
  }

  /** Boots until the agent finds it healthy, then lets it work for a while and pulls the plug. */
  const cut = async (moment: number) => {
    machine = start()
    // any boot: of either slot, after however many tries, but none that ends at a prompt
    await machine.waitFor(/psyblob: healthy/, 240)
    await new Promise((resolve) => setTimeout(resolve, moment))
    await machine.kill()
  }

  const upToDate = async (product: 'os' | 'efisys') => {
    machine = start()
    const deadline = performance.now() + 300_000
    for (;;) {
      await machine.waitFor(/psyblob: healthy/, 240)
      await shell(machine, 60)
      const state = json(await must(machine, `psyblob status ${product} --json`))
      if (state.upToDate === true && (product === 'efisys' ? state.efi?.trial === null || state.efi === undefined : true)) return state
      if (performance.now() > deadline) throw new Error(`not up to date after five minutes: ${JSON.stringify(state)}`)
      // the agent reboots into what it has installed, and is healthy again
    }
  }

  test(`at ${osCuts} moments of sync, flip and mark boots each time, and the next sync finishes`, async () => {
    const seed = Math.floor(Math.random() * 2 ** 31)
    console.log(`seed ${seed}`)
    let random = seed
    for (let n = 0; n < osCuts; n++) {
      publishNext('os')
      random = (random * 1_103_515_245 + 12_345) % 2 ** 31
      await cut((random / 2 ** 31) * 25_000)
    }
    const state = await upToDate('os')
    expect(state.slots.some((slot: { booted: boolean; good: boolean }) => slot.booted && slot.good)).toBe(true)
  }, 2_400_000)

  test(`at ${efiCuts} moments of an update of the boot loader boots each time`, async () => {
    let random = Math.floor(Math.random() * 2 ** 31)
    for (let n = 0; n < efiCuts; n++) {
      publishNext('efisys')
      random = (random * 1_103_515_245 + 12_345) % 2 ** 31
      await cut((random / 2 ** 31) * 12_000)
    }
    await upToDate('efisys')
  }, 2_400_000)
})

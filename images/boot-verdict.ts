// What the agent makes of a boot: whether the machine is well, what is marked then, and what a reboot would leave (spec/agent.md 2 to 4).
import { readFile } from 'node:fs/promises'
import { isPsyblobError, PsyblobError, visible } from '../core/mod.ts'
import { type Attempt, readAttempts } from '../store/mod.ts'
import { type Agent, attempted } from './attending.ts'
import { type Booted, bootedOf } from './booted.ts'
import { mark } from './choice.ts'
import { dueTrial } from './efi-product.ts'
import { finishTrials } from './efi-trial.ts'
import { type Failing, failingCheck, failingText } from './health.ts'
import { recordAttempt } from './node.ts'
import { otherSlot } from './slot.ts'

/** Between two rounds of checks. */
const pause = 3000
/** The same boot is told once, however often the agent is started. With the first start it is known what the boot loader did not do. */
export async function noticeBoot(agent: Agent): Promise<void> {
  const { node, components, loaders, passedOver } = agent
  const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')).trim()
  let isFirstStart = components.length === 0 && (boot === '' || (await recordAttempt(node, { what: 'boot', result: 'ok', boot })))
  for (const { name: product, ...component } of components) {
    await attempted(agent, product, async () => {
      const booted = await bootedOf(node, { name: product, ...component })
      const over = booted?.passedOver
      // kept with the boot, so that the next one knows whether anything was counted since
      const message = over === undefined ? undefined : `${over.tries ?? 0} tries of ${over.seq}`
      const last = (await readAttempts(node.store.dir)).findLast((one) => one.what === 'boot' && one.product === product)
      const about = { ...aboutOf(product, booted), ...(message === undefined ? {} : { message }) }
      const isNew = boot === '' || (await recordAttempt(node, { what: 'boot', result: 'ok', ...about, boot }))
      isFirstStart ||= isNew
      if (!isNew || booted === undefined || over === undefined) return
      // a slot on trial whose tries go on being counted will have used them up
      if (over.tries !== undefined && over.tries > 0 && last?.message !== message) return
      passedOver.set(product, over.seq)
      const first = otherSlot(booted.slot)
      node.report({
        type: 'warning',
        text: `slot ${first} (${product}) stands first, but the boot loader passed over it: psyblob verify ${product} --slot ${first} says more; this machine does not reboot into it by itself`,
      })
    })
  }
  // a boot loader that brought the system up to here has passed, whatever becomes of what it started
  await attempted(agent, undefined, () => finishTrials(node))
  // asked for before this boot, and not begun: asking again by a reboot would be in vain too
  if (!isFirstStart) return
  for (const component of loaders) {
    await attempted(agent, component.name, async () => {
      const trial = await dueTrial(node, component)
      if (trial !== undefined) passedOver.set(component.name, trial)
    })
  }
}

function aboutOf(product: string, booted: Booted | undefined): Pick<Attempt, 'product' | 'slot' | 'serial'> {
  if (booted === undefined) return { product }
  return { product, slot: booted.slot, ...(booted.serial === undefined ? {} : { serial: booted.serial }) }
}

/** Undefined when all checks passed in time. */
export async function waitForHealth(agent: Agent): Promise<Failing | undefined> {
  const { node, options, surroundings } = agent
  let told = ''
  for (let spent = 0; ; ) {
    const started = performance.now()
    const failing = await oneRound(agent)
    if (failing === undefined) return undefined
    const text = failingText(failing)
    if (text !== told) surroundings.say(`health check ${visible(text)}`)
    told = text
    spent += performance.now() - started
    if (spent >= options.patience) return failing
    await surroundings.sleep(pause, node.signal)
    spent += pause
  }
}

/** What keeps the checks from being run is a check that fails. */
export async function oneRound({ node, options: { healthDir, healthTime } }: Agent): Promise<Failing | undefined> {
  try {
    return await failingCheck({ dir: healthDir, limit: healthTime, run: node.run, signal: node.signal })
  } catch (error) {
    if (!isPsyblobError(error) || error.code === 'interrupted') throw error
    return { check: healthDir, status: null, line: error.message }
  }
}

/** The machine is well: each booted slot is marked, and a boot loader on trial that brought us here has passed. */
export async function vouch(agent: Agent): Promise<void> {
  const { node, components, surroundings } = agent
  for (const component of components) {
    const { name: product } = component
    await attempted(agent, product, async () => {
      const booted = await bootedOf(node, component)
      if (booted === undefined) return surroundings.say(`psyblob: healthy: ${product} was booted from no slot of this machine`)
      const { slot, isGood, isAvoided } = booted
      const what = `slot ${slot} (${product}${booted.serial === undefined ? '' : ` ${booted.serial}`})`
      if (isGood) return surroundings.say(`psyblob: healthy: ${what} is good`)
      if (isAvoided)
        return surroundings.say(
          `psyblob: healthy: ${what} was marked bad, rolled back or fallen back from, and is not marked good by itself`,
        )
      await mark(node, component, 'good', slot)
      await recordAttempt(node, { what: 'health', result: 'ok', ...aboutOf(product, booted) })
      surroundings.say(`psyblob: healthy: ${what} is good`)
    })
  }
}

/** True when a reboot would lead away from a booted slot that is on trial. */
export async function isAnyLeft(agent: Agent): Promise<boolean> {
  for (const component of agent.components) {
    const booted = await attempted(agent, component.name, () => bootedOf(agent.node, component))
    if (booted !== undefined && !(booted instanceof PsyblobError) && booted.isLeftByReboot) return true
  }
  return false
}

/** Checks that never passed: true when a reboot leads away from a slot on trial, for the boot loader counts its tries. Otherwise they are told, and no more. */
export async function isToBeLeft(agent: Agent, failing: Failing): Promise<boolean> {
  const { node, components } = agent
  let isAny = false
  for (const component of components) {
    const { name: product } = component
    const booted = await attempted(agent, product, () => bootedOf(node, component))
    if (booted === undefined || booted instanceof PsyblobError) continue
    const { slot, serial, isGood, isLeftByReboot } = booted
    await recordAttempt(node, { what: 'health', result: 'failed', ...aboutOf(product, booted), message: failingText(failing) })
    const what = `slot ${slot} (${product}${serial === undefined ? '' : ` ${serial}`})`
    const next = isGood
      ? 'is good already, so the machine goes on with it'
      : isLeftByReboot
        ? 'was never good: rebooting, the boot loader counts its tries'
        : 'was never good, but there is nothing to fall back to, so the machine goes on with it'
    node.report({ type: 'warning', text: `health checks failed: ${failingText(failing)}; ${what} ${next}` })
    isAny ||= isLeftByReboot
  }
  return isAny
}

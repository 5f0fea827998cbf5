// --prefer: what decides between a patch and chunks of an image.
import { type Component, type Preference, PsyblobError, preferences } from '../core/mod.ts'
import { choice } from './command.ts'

export const preferText = 'time or bytes: what decides between a patch and chunks (time); chunks: no patch is taken'

/** Throws `usage` for another word, and where none of the products is for slots: nothing else has a choice. */
export function preferenceOf(text: string | undefined, components: readonly Component[]): Preference | undefined {
  if (text === undefined) return undefined
  const [first] = components
  if (first !== undefined && !components.some(({ target }) => target.kind === 'slots'))
    throw new PsyblobError('usage', `--prefer chooses between patch and chunks of an image, and ${first.name} is not for slots`, {
      hint: 'leave --prefer out',
    })
  return choice('--prefer', text, preferences)
}

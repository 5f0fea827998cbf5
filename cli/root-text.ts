// A root in lines for people: who signs what, until when, from which serial on.
import { keyIdText, type Root, visible } from '../core/mod.ts'

export function rootLines({ roles, expires, issued, floors, revoked }: Root): readonly (readonly string[])[] {
  const line = (name: string, { threshold, keys }: Root['roles']['root']) => [
    name,
    `${threshold} of ${keys.length}`,
    keys.map(({ id }) => keyIdText(id)).join(' '),
  ]
  const all = (kind: string, named: Root['roles']['release']) =>
    Object.entries(named).map(([name, role]) => line(name === '*' ? kind : `${kind}/${name}`, role))
  return [
    line('root', roles.root),
    ...all('release', roles.release),
    ...all('pointer', roles.pointer),
    ['issued', issued],
    ['expires', expires],
    ...Object.entries(floors).map(([product, serial]) => ['floor', `${product} ${serial}`]),
    ...revoked.map((cid) => ['revoked', visible(cid)]),
  ]
}

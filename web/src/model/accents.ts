// One accent per tenant, the same in tile, timeline and table.

export const ACCENTS = 12;
// Those that a name may point to: the rest, which look more alike, come when these are taken.
const FIRST = 8;

// Slots by name. The same tenants get the same slots whenever the page is opened, and keep them while it is.
// With more tenants than accents they are shared.
export class Accents {
  private slots = new Map<string, number>();

  // Of a name without a slot (an event may tell of a tenant that has ended), the one that it would like.
  slotOf(name: string): number {
    return this.slots.get(name) ?? hash(name) % FIRST;
  }

  // Gives a slot to each name that has none, the one it would like or the next that is used least.
  assign(names: readonly string[]): void {
    for (const name of [...names].sort()) {
      if (this.slots.has(name)) continue;
      const used = new Array<number>(ACCENTS).fill(0);
      for (const slot of this.slots.values()) used[slot] += 1;
      const least = Math.min(...used);
      const wish = hash(name) % FIRST;
      const order = used.map((_, i) => (i < FIRST ? (wish + i) % FIRST : i));
      this.slots.set(name, order.find((slot) => used[slot] === least)!);
    }
  }

  // Forgets all but `names`, in a long life with many tenants.
  keep(names: ReadonlySet<string>): void {
    for (const name of this.slots.keys()) {
      if (!names.has(name)) this.slots.delete(name);
    }
  }

  get size(): number {
    return this.slots.size;
  }
}

// FNV-1a, 32 bits.
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; ++i) {
    value ^= text.charCodeAt(i);
    value = Math.imul(value, 0x01000193) >>> 0;
  }
  return value;
}

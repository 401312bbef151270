// Small pieces that appear everywhere.
import type { ComponentChildren } from 'preact';
import { formatAgo, formatMoment } from '../model/format';
import { type Route, routeHash } from '../model/route';
import { accentClass, useData, useHighlight, useWords } from './context';

export function RouteLink(props: { to: Route; class?: string; label?: string; children: ComponentChildren }) {
  return (
    <a href={routeHash(props.to)} class={props.class} aria-label={props.label}>
      {props.children}
    </a>
  );
}

export function Swatch(props: { name: string | null }) {
  return (
    <i class={`swatch ${props.name === null ? 'outside' : accentClass(props.name)}`} aria-hidden="true" />
  );
}

// A tenant's name with its accent, which leads to its page and highlights it everywhere else.
export function TenantLink(props: { name: string }) {
  const highlight = useHighlight();
  return (
    <a
      class="tenant"
      href={routeHash({ page: 'tenant', name: props.name })}
      onMouseEnter={() => highlight.set(props.name)}
      onMouseLeave={() => highlight.set(null)}
      onFocus={() => highlight.set(props.name)}
      onBlur={() => highlight.set(null)}
    >
      <Swatch name={props.name} />
      <span>{props.name}</span>
    </a>
  );
}

export interface MeterProps {
  fraction: number; // 0 to 1; more shows as full
  mark?: number; // where something is to be seen: a peak, what one is entitled to
  tone?: string; // a class: an accent, or "neutral"
}

// Beside the figure that it draws: nothing for screen readers.
export function Meter(props: MeterProps) {
  const percent = (value: number): string => `${Math.min(100, Math.max(0, value * 100))}%`;
  return (
    <span class={`meter ${props.tone ?? ''}`} aria-hidden="true">
      <span class="fill" style={{ width: percent(props.fraction) }} />
      {props.mark !== undefined && props.mark > 0 && (
        <span class="mark" style={{ left: percent(props.mark) }} />
      )}
    </span>
  );
}

// A moment: how long ago, and exactly when under the pointer.
export function When(props: { time: number }) {
  const { locale } = useWords();
  const { now } = useData();
  return (
    <time dateTime={new Date(props.time * 1000).toISOString()} title={formatMoment(props.time, locale)}>
      {formatAgo(now - props.time, locale)}
    </time>
  );
}

export function Pill(props: {
  tone: 'ok' | 'warn' | 'bad' | 'quiet';
  title?: string;
  children: ComponentChildren;
}) {
  return (
    <span class={`pill ${props.tone}`} title={props.title}>
      {props.children}
    </span>
  );
}

// Where there is nothing to show: what that means and what to do about it.
export function Empty(props: {
  title: string;
  hint?: string;
  command?: string;
  children?: ComponentChildren;
}) {
  return (
    <div class="empty">
      <p class="empty-title">{props.title}</p>
      {props.hint && <p>{props.hint}</p>}
      {props.command && <code class="command">{props.command}</code>}
      {props.children}
    </div>
  );
}

export function Section(props: {
  id: string;
  title: string;
  aside?: ComponentChildren;
  children: ComponentChildren;
}) {
  return (
    <section aria-labelledby={props.id}>
      <div class="section-head">
        <h2 id={props.id}>{props.title}</h2>
        {props.aside}
      </div>
      {props.children}
    </section>
  );
}

// One of a few: buttons in a row, one of them pressed.
export function Choice<T extends string>(props: {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onChange(value: T): void;
}) {
  return (
    <div class="choice" role="group" aria-label={props.label}>
      {props.options.map(([value, text]) => (
        <button
          type="button"
          key={value}
          aria-pressed={value === props.value}
          onClick={() => props.onChange(value)}
        >
          {text}
        </button>
      ))}
    </div>
  );
}

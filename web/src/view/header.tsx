import type { Info } from '../api/types';
import { isFiring } from '../model/alerts';
import { formatAgo } from '../model/format';
import type { Route } from '../model/route';
import { type Theme, useData, useSettings, useWords } from './context';
import { Choice, RouteLink } from './parts';

const STALE_S = 10;

function Live() {
  const { t, locale } = useWords();
  const { slices, now } = useData();
  if (slices.at === null) return <span class="live waiting">{t.waitingForDaemon}</span>;
  const age = now - slices.at;
  const isStale = slices.error !== null || age > STALE_S;
  return (
    <span class={`live ${isStale ? 'stale' : ''}`}>
      <i class="beat" key={slices.at} aria-hidden="true" />
      {isStale ? `${t.stale}, ${formatAgo(age, locale)}` : t.live}
    </span>
  );
}

function Mark() {
  return (
    <svg class="mark-logo" viewBox="0 0 20 20" aria-hidden="true">
      <path class="a" d="M1 1h8v8H1z" />
      <path class="b" d="M11 1h8v5h-8z" />
      <path class="c" d="M11 8h8v11h-8z" />
      <path class="d" d="M1 11h8v8H1z" />
    </svg>
  );
}

export function Header(props: { route: Route; info: Info | null }) {
  const { t } = useWords();
  const settings = useSettings();
  const { alerts } = useData();
  const firing = (alerts.data?.alerts ?? []).filter(isFiring).length;
  const pages = ['overview', 'tenants', 'alerts', 'events'] as const;
  const current =
    props.route.page === 'tenant' ? 'tenants' : props.route.page === 'gpu' ? 'overview' : props.route.page;
  const themes: [Theme, string][] = [
    ['auto', t.theme.auto],
    ['light', t.theme.light],
    ['dark', t.theme.dark],
  ];
  return (
    <header class="top">
      <RouteLink to={{ page: 'overview' }} class="brand">
        <Mark />
        <span>Tessera</span>
      </RouteLink>
      {props.info?.hostname && <span class="host">{props.info.hostname}</span>}
      <nav aria-label={t.nav.label}>
        {pages.map((page) => (
          <a
            key={page}
            href={page === 'overview' ? '#/' : `#/${page}`}
            aria-current={page === current ? 'page' : undefined}
          >
            {t.nav[page]}
            {page === 'alerts' && firing > 0 && <span class="count">{firing}</span>}
          </a>
        ))}
      </nav>
      <div class="top-right">
        <Live />
        <label class="select">
          <span class="visually-hidden">{t.theme.label}</span>
          <select
            value={settings.theme}
            onChange={(event) => settings.setTheme(event.currentTarget.value as Theme)}
          >
            {themes.map(([value, text]) => (
              <option key={value} value={value}>
                {text}
              </option>
            ))}
          </select>
        </label>
        <Choice
          label={t.languageLabel}
          value={settings.language}
          options={[
            ['en', 'EN'],
            ['zh', '中文'],
          ]}
          onChange={(next) => settings.setLanguage(next)}
        />
      </div>
    </header>
  );
}

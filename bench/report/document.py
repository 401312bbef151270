"""A report as Markdown and as one HTML file without anything outside it: tables, and plots as SVG."""
import html
import io

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402  (the kind of canvas comes first)

pyplot.rcParams["svg.hashsalt"] = "tessera"  # the same figures, the same file

STYLE = """body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .7rem;border-bottom:1px solid #d8dee4;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}.held{color:#1a7f37}.missed{color:#cf222e;font-weight:600}svg{max-width:100%;height:auto}"""


def number(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 or isinstance(value, int) else f"{value:.4g}"


class Document:
    def __init__(self, title):
        self.title, self.markdown, self.body, self.plots = title, [f"# {title}", ""], [f"<h1>{html.escape(title)}</h1>"], {}

    def heading(self, text):
        self.markdown += [f"## {text}", ""]
        self.body.append(f"<h2>{html.escape(text)}</h2>")

    def paragraph(self, text):
        self.markdown += [text, ""]
        self.body.append(f"<p>{html.escape(text)}</p>")

    def table(self, columns, rows, classes=()):
        """`classes`: of each row's last cell in HTML."""
        self.markdown += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
        self.markdown += ["| " + " | ".join(number(cell) for cell in row) + " |" for row in rows] + [""]
        out = ["<table><tr>" + "".join(f"<th>{html.escape(column)}</th>" for column in columns) + "</tr>"]
        for at, row in enumerate(rows):
            cells = [f'<td class="{"n" if isinstance(cell, (int, float)) else ""}">{html.escape(number(cell))}</td>' for cell in row]
            if classes:
                cells[-1] = f'<td class="{classes[at]}">{html.escape(number(row[-1]))}</td>'
            out.append("<tr>" + "".join(cells) + "</tr>")
        self.body.append("".join(out) + "</table>")

    def plot(self, name, draw, height):
        """`draw` is given the axes; `name` is that of the file beside the Markdown."""
        figure, axes = pyplot.subplots(figsize=(9, height), layout="constrained")
        draw(axes)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
        pyplot.close(figure)
        self.plots[f"{name}.svg"] = out.getvalue()
        self.markdown += [f"![{name}]({name}.svg)", ""]
        self.body.append(out.getvalue().partition("<!DOCTYPE")[2].partition(">")[2])

    def files(self):
        page = (f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(self.title)}</title>'
                f"<style>{STYLE}</style>" + "\n".join(self.body) + "</html>\n")
        return {"report.md": "\n".join(self.markdown), "report.html": page, **self.plots}

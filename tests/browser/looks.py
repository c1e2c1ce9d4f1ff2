"""What every widget must look like, whatever it shows."""

from typing import Any

__all__ = ["no_wider_than_the_page", "too_faint", "too_small"]

_TOO_FAINT = """([selector, property, least]) => {
    const canvas = document.createElement("canvas");
    const paint = canvas.getContext("2d", { willReadFrequently: true });
    const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const luminance = (colour) => {
        paint.fillStyle = colour;
        paint.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...paint.getImageData(0, 0, 1, 1).data].map((v) => linear(v / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = luminance(getComputedStyle(document.body).backgroundColor);
    const contrast = (colour) => {
        const both = [luminance(colour), ground];
        return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    };
    const found = [...document.querySelectorAll(selector)];
    if (found.length === 0) throw new Error(`nothing is ${selector}`);
    return found.map((e) => contrast(getComputedStyle(e)[property])).filter((c) => c < least);
}"""


def no_wider_than_the_page(page: Any) -> bool:
    """Whether nothing makes the page scroll sideways."""
    return page.evaluate(
        "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )


def too_faint(page: Any, selector: str, prop: str = "color", least: float = 4.5) -> list[float]:
    """Contrasts to the page of the elements that stand out less than `least`."""
    return page.evaluate(_TOO_FAINT, [selector, prop, least])


def too_small(page: Any, selector: str, least: float = 24) -> list[list[float]]:
    """Width and height of the visible elements that are hard to hit with a finger."""
    sizes = page.locator(selector).evaluate_all(
        "(all) => all.map((e) => e.getBoundingClientRect()).map((r) => [r.width, r.height])"
    )
    return [size for size in sizes if 0 < min(size) < least]

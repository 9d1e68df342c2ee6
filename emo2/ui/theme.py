"""How the page looks and how it is served: one theme, one style sheet, and safe defaults for
`launch()`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

CSS_FILE = Path(__file__).with_name("page.css")
ICON_FILE = Path(__file__).with_name("icon.svg")


def studio_theme() -> gr.themes.Base:
    """Calm neutrals, one accent; fonts come with Gradio or the system, never from another host."""
    # Gradio's own semi-bold file lacks half the alphabet, hence 700.
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        secondary_hue=gr.themes.colors.slate,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_md,
        font=(gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif"),
        font_mono=("ui-monospace", "Consolas", "monospace"),
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_800",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        background_fill_secondary_dark="*neutral_900",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="1px",
        block_border_color="*neutral_200",
        block_border_color_dark="*neutral_700",
        block_shadow="none",
        block_label_background_fill="*neutral_100",
        block_label_background_fill_dark="*neutral_800",
        block_label_text_color="*neutral_700",
        block_label_text_color_dark="*neutral_200",
        block_title_text_color="*neutral_800",
        block_title_text_color_dark="*neutral_100",
        block_title_text_weight="600",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
        input_border_width="1px",
        input_background_fill="white",
        input_background_fill_dark="*neutral_800",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_600",
        border_color_accent="*primary_700",
        checkbox_label_background_fill_selected="*primary_50",
        checkbox_label_background_fill_selected_dark="*primary_950",
        checkbox_label_text_color_selected="*primary_900",
        checkbox_label_text_color_selected_dark="*primary_100",
        checkbox_label_border_color_selected="*primary_700",
        checkbox_background_color_selected="*primary_700",
        checkbox_background_color_selected_dark="*primary_600",
        slider_color="*primary_700",
        slider_color_dark="*primary_500",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
        button_primary_text_color="white",
        button_primary_text_color_dark="white",
        button_secondary_background_fill="white",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover_dark="*neutral_700",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_600",
        button_border_width="1px",
        button_cancel_background_fill="white",
        button_cancel_background_fill_hover="#fef1f1",
        button_cancel_background_fill_dark="*neutral_800",
        button_cancel_background_fill_hover_dark="#331718",
        button_cancel_text_color="#8f1d1d",
        button_cancel_text_color_dark="#fbb4b4",
        button_cancel_border_color="#d9a3a3",
        button_cancel_border_color_dark="#6b2b2d",
        button_large_text_weight="600",
        button_small_text_weight="500",
    )


def launch_options(*, max_file_mb: int) -> dict[str, Any]:
    """Arguments of `Blocks.launch` that belong to the page wherever it runs. Gradio keeps a history
    of runs, faces and voices included, and shows tracebacks' words to visitors unless told
    otherwise: both are off."""
    return {
        "theme": studio_theme(),
        "css_paths": CSS_FILE,
        "favicon_path": ICON_FILE,
        "max_file_size": f"{max_file_mb}mb",
        "run_history": False,
        "show_error": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "mcp_server": False,
        "footer_links": ["api", "settings"],
    }

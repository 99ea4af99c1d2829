"""The look of the Gradio page: its theme, its style sheet, and the scripts of its players and its microphone."""

from pathlib import Path

import gradio as gr

HERE = Path(__file__).parent

# The blue of the listening test and of the report.
BLUE = gr.themes.Color(
    name="lpo", c50="#f1f6fc", c100="#e4edf8", c200="#c5daf2", c300="#9dbde2", c400="#86b8f5", c500="#3f7fc9", c600="#1f5fae",
    c700="#1a5194", c800="#17437a", c900="#143862", c950="#0b2340",
)  # fmt: skip
STONE = gr.themes.Color(
    name="lpo-stone", c50="#fafaf8", c100="#f5f5f2", c200="#e6e5df", c300="#d2d1c9", c400="#a9a79f", c500="#73726d",
    c600="#5c5b57", c700="#44433f", c800="#2b2b28", c900="#1a1a19", c950="#0f0f0e",
)  # fmt: skip
# The system's own fonts: none is fetched.
THEME = gr.themes.Soft(
    primary_hue=BLUE,
    secondary_hue=BLUE,
    neutral_hue=STONE,
    font=("system-ui", "sans-serif"),
    font_mono=("ui-monospace", "monospace"),
).set(
    body_background_fill="*neutral_100",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_400",
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_400",
    block_label_text_color="*neutral_700",
    block_label_text_color_dark="*neutral_200",
    block_title_text_color="*neutral_700",
    block_title_background_fill="none",
    block_title_background_fill_dark="none",
    block_title_padding="0",
    block_label_background_fill="*neutral_50",
    block_border_width="1px",
    block_border_color="*neutral_200",
    block_border_color_dark="*neutral_700",
    block_shadow="none",
    block_title_text_color_dark="*neutral_200",
    button_primary_background_fill="*primary_600",
    button_primary_background_fill_hover="*primary_700",
    button_primary_background_fill_dark="*primary_600",
    button_primary_background_fill_hover_dark="*primary_700",
    button_primary_text_color="white",
    color_accent="*primary_600",
    border_color_accent="*primary_600",
    border_color_accent_dark="*primary_400",
    checkbox_background_color_selected="*primary_600",
    checkbox_background_color_selected_dark="*primary_600",
    checkbox_label_background_fill_selected="*primary_600",
    checkbox_label_background_fill_selected_dark="*primary_700",
    checkbox_label_text_color_selected="white",
    # What can be typed in, moved or marked shows its edge: 3 to 1 against what is around it.
    input_border_width="1px",
    input_border_color="*neutral_500",
    input_border_color_dark="*neutral_500",
    input_shadow="none",
    checkbox_border_color="*neutral_500",
    checkbox_border_color_dark="*neutral_400",
    checkbox_border_width="1px",
    checkbox_label_border_width="1px",
    checkbox_label_border_color="*neutral_300",
    checkbox_label_border_color_dark="*neutral_600",
    checkbox_label_shadow="none",
    button_border_width="1px",
    button_border_width_dark="1px",
    button_primary_border_color="*primary_600",
    button_primary_border_color_dark="*primary_600",
    button_secondary_border_color="*neutral_400",
    button_secondary_border_color_dark="*neutral_600",
    button_secondary_background_fill_dark="*neutral_800",
    button_secondary_background_fill_hover_dark="*neutral_700",
    button_secondary_shadow="none",
    button_primary_shadow="none",
    link_text_color="*primary_600",
    link_text_color_hover="*primary_700",
    link_text_color_active="*primary_700",
    link_text_color_visited="*primary_600",
    link_text_color_dark="*primary_400",
    link_text_color_hover_dark="*primary_300",
    link_text_color_active_dark="*primary_300",
    link_text_color_visited_dark="*primary_400",
    slider_color="*primary_600",
    slider_color_dark="*primary_400",
)
CSS = (HERE / "look.css").read_text(encoding="utf-8")
HEAD = "".join(f"<script>\n{(HERE / name).read_text(encoding='utf-8')}</script>" for name in ("player.js", "microphone.js"))

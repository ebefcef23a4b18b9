"""What the bot says, in each of its languages."""
# ruff: noqa: RUF001 (Russian has letters that look like Latin ones)

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

Language = Literal["en", "ru"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

Text = Literal[
    "help",
    "about_help",
    "unsupported",
    "unreadable",
    "too_large",
    "too_many_pixels",
    "too_large_answer",
    "not_taken",
    "too_long",
    "no_face",
    "black",
    "number",
    "busy",
    "ending",
    "gone",
    "working",
    "failed",
    "mosaic",
    "gaussian",
    "solid",
    "emoji",
]

TEXTS: Mapping[Text, Mapping[Language, str]] = {
    "help": {
        "en": (
            "Send me a photo: it comes back with all faces hidden.\n\n"
            "• Albums, videos and GIFs work too.\n"
            "• Sent as a file, a photo keeps its size; what its file says about place, time and "
            "device is removed.\n"
            "• The buttons under an answer hide the faces in another way.\n"
            "• Files may have 20 MB.\n\n"
            "I may miss a face: look at the answer before you show it to anybody. Where I find "
            "none, I send nothing back. I keep nothing of what you send."
        ),
        "ru": (
            "Пришлите фото: я верну его, скрыв все лица.\n\n"
            "• Можно присылать и альбомы, видео и GIF.\n"
            "• Фото, присланное файлом, сохранит размер; сведения о месте, времени и устройстве "
            "из файла будут удалены.\n"
            "• Кнопки под ответом скрывают лица другим способом.\n"
            "• Размер файла — до 20 МБ.\n\n"
            "Я могу не заметить лицо: посмотрите на ответ, прежде чем показывать его кому-либо. "
            "Если лиц не найдено, я ничего не верну. Присланное я не храню."
        ),
    },
    "about_help": {"en": "what this bot does", "ru": "что умеет этот бот"},
    "unsupported": {
        "en": "I cannot read files of this kind. Send a photo, a video or a GIF.",
        "ru": "Файлы такого вида я не читаю. Пришлите фото, видео или GIF.",
    },
    "unreadable": {
        "en": "This file cannot be read: it is damaged, or of a kind that I do not know.",
        "ru": "Файл не читается: он повреждён, или его формат мне неизвестен.",
    },
    "too_large": {
        "en": "This file is too large: Telegram lets me have 20 MB at most.",
        "ru": "Файл слишком большой: Telegram отдаёт мне не более 20 МБ.",
    },
    "too_many_pixels": {
        "en": "This photo has too many pixels: 64 million at most.",
        "ru": "В этом фото слишком много точек: не более 64 миллионов.",
    },
    "too_large_answer": {
        "en": "The result is too large for Telegram. Send a smaller or shorter one.",
        "ru": "Результат слишком велик для Telegram. Пришлите файл поменьше или покороче.",
    },
    "not_taken": {
        "en": "Telegram does not take the result. Send it as a file.",
        "ru": "Telegram не принимает результат. Пришлите исходное файлом.",
    },
    "too_long": {
        "en": "This takes too long. Send a shorter or smaller one.",
        "ru": "Обработка занимает слишком много времени. Пришлите файл покороче или поменьше.",
    },
    "no_face": {
        "en": "No face found: nothing was hidden, and so I send nothing back.",
        "ru": "Лиц не найдено: ничего не скрыто, поэтому я ничего не возвращаю.",
    },
    "black": {
        "en": "Pictures of this video that could not be looked at, and are black: {count}.",
        "ru": "Кадры этого видео, которые не удалось просмотреть (они чёрные): {count}.",
    },
    "number": {"en": "No. {number}: {what}", "ru": "№ {number}: {what}"},
    "busy": {
        "en": "I have too much to do. Send it again in a minute.",
        "ru": "Сейчас слишком много работы. Пришлите ещё раз через минуту.",
    },
    "ending": {
        "en": "I am being restarted. Send it again in a minute.",
        "ru": "Меня перезапускают. Пришлите ещё раз через минуту.",
    },
    "gone": {
        "en": "I no longer have the original, as I keep nothing. Send it again.",
        "ru": "Оригинала у меня нет: я ничего не храню. Пришлите его ещё раз.",
    },
    "working": {"en": "Working on it …", "ru": "Делаю …"},
    "failed": {
        "en": "Something went wrong with me; nothing was hidden. Try again later.",
        "ru": "У меня произошла ошибка; ничего не скрыто. Попробуйте позже.",
    },
    "mosaic": {"en": "Mosaic", "ru": "Мозаика"},
    "gaussian": {"en": "Blur", "ru": "Размытие"},
    "solid": {"en": "Black", "ru": "Чёрный"},
    "emoji": {"en": "Emoji", "ru": "Смайлик"},
}
"""Each text in all languages."""


def language_of(code: str | None) -> Language:
    """The language for a user's `language_code` (an IETF tag, as `ru` or `pt-BR`)."""
    return "ru" if (code or "").partition("-")[0].lower() == "ru" else "en"


def say(text: Text, language: Language, **values: object) -> str:
    """A text with its values."""
    return TEXTS[text][language].format(**values)

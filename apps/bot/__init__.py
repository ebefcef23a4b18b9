"""A Telegram bot that hides the faces of what it is sent."""

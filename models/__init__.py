"""Networks: backbones, necks, heads, and their assembly from a template."""

"""What a preview shows around the hands: stage, trails, timeline, strip and contact sheet."""

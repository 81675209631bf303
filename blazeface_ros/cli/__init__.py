"""The command `blazeface`: one file a verb."""

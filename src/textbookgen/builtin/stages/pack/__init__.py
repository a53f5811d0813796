"""Documents, chats and pairs as token files that trainers read."""

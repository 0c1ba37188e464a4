"""The plain scripts that foldwise is held against: what somebody writes who has one study to do."""

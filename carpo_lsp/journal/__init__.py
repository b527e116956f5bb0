"""What has been run, on disk: written as it happens, and read after a crash or a restart.

A folder in the user's state folder holds one folder for each server (a session), named by when it
began, and locked while the server lives:

    journal/20260131T094501123456-4711-9f3c05d1/
        lock
        3b1f0c….1.jsonl     the executions of one document; beyond 8 MB it goes on in the next
        none.1.jsonl        those that came without a document
        outputs/            what is too big for a line

So the files of a document are found by their names, whatever else has been run, and servers never
write to the same file. `lines` says what is in them.
"""

;;; eglot-tests.el --- Kernels by eglot  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: MIT

;;; Commentary:

;; Tests with eglot, the server and kernels.

;;; Code:

(require 'carpo-eglot)
(require 'cl-lib)
(require 'eglot)
(require 'flymake)
(require 'support)

(setq eglot-sync-connect t)

(defun carpo-test-complete ()
  "Complete at point, once the kernel has it."
  (goto-char (line-end-position))
  (let ((before (buffer-string)))
    (carpo-test-until "a completion"
                      (lambda ()
                        (completion-at-point)
                        (not (equal (buffer-string) before))))))

(defun carpo-test-diagnostics ()
  "Return the diagnostics of the buffer, as (LINE . TEXT)."
  (flymake-start)
  (mapcar (lambda (diagnostic)
            (cons (line-number-at-pos (flymake-diagnostic-beg diagnostic))
                  (flymake-diagnostic-text diagnostic)))
          (flymake-diagnostics)))

;;;; Without the plugin

(ert-deftest carpo-test-no-plugin-completion-and-hover ()
  (setq eglot-server-programs
        '((python-mode . ("carpo-lsp" :initializationOptions
                          (:carpo (:completion (:budget 20000)))))))
  (remove-hook 'carpo-client-changed-hook #'carpo--follow-client)
  (carpo-test-open "a.py" "animal = 'carp'" "animal.upp")
  (call-interactively #'eglot)
  (jsonrpc-request (eglot-current-server) 'workspace/executeCommand
                   `(:command "carpo.runStatement"
                     :arguments [(:uri ,(carpo-client-uri (eglot-current-server)) :line 0)]))
  (carpo-test-until "the end of the run"
                    (lambda ()
                      (seq-find (lambda (each) (string-match-p "✓" (cdr each)))
                                (carpo-test-diagnostics))))
  (carpo-test-go "animal.upp")
  (carpo-test-complete)
  (should (equal (buffer-substring (line-beginning-position) (line-end-position))
                 "animal.upper"))
  (carpo-test-go "animal")
  (backward-char 2)
  (let (shown)
    (eglot-hover-eldoc-function (lambda (text &rest _) (setq shown text)))
    (should (string-match-p "carp" (carpo-test-until "a hover" (lambda () shown))))))

;;;; Runs

(ert-deftest carpo-test-results-below-their-cells ()
  (carpo-setup)
  (carpo-test-open "a.py" "# %% one" "value = 6 * 7" "value" "" "# %% two" "print(value)" "-value")
  (carpo-run)
  (carpo-test-see "✓ \\[1\\] .*\n▏ 42\\'")
  (should carpo-mode)
  (carpo-test-go "two")
  (carpo-run)
  (carpo-test-see "✓ \\[2\\] .*\n▏ 42\n▏ -42\\'")
  (should (= (length (carpo-test-overlays)) 2))
  (should (equal (mapcar (lambda (overlay)
                           (save-excursion
                             (goto-char (overlay-end overlay))
                             (should (eolp))
                             (buffer-substring (line-beginning-position) (point))))
                         (carpo-test-overlays))
                 '("value" "-value")))
  (carpo-test-until "the kernel in the mode line"
                    (lambda () (string-match-p "\\[Python 3.* idle\\]" (carpo-mode-line)))))

(ert-deftest carpo-test-a-new-run-replaces-the-old ()
  (carpo-setup)
  (carpo-test-open "a.py" "import itertools; count = globals().setdefault('c', itertools.count())"
                   "next(count)")
  (carpo-run)
  (carpo-test-see "▏ 0\\'")
  (carpo-run)
  (carpo-test-see "▏ 1\\'")
  (should (= (length (carpo-test-overlays)) 1))
  ;; eglot tells the server of edits only after a while.
  (goto-char (point-max))
  (insert "'edited'\n")
  (carpo-run)
  (carpo-test-see "▏ 'edited'\\'"))

(ert-deftest carpo-test-an-error-at-its-line ()
  (carpo-setup)
  (carpo-test-open "a.py" "# %%" "one = 1" "one / 0" "two = 2")
  (carpo-run)
  (let ((shown (carpo-test-see "✗ ZeroDivisionError \\[1\\]")))
    (should (string-match-p "▏ ZeroDivisionError: division by zero" shown)))
  (carpo-test-until "the diagnostic"
                    (lambda ()
                      (seq-find (lambda (each)
                                  (and (= (car each) 3)
                                       (string-match-p "ZeroDivisionError" (cdr each))))
                                (carpo-test-diagnostics)))))

(ert-deftest carpo-test-completion-from-a-live-object ()
  (carpo-setup)
  (carpo-test-open "a.py" "# %%" "class Fish:" "    def swim_upstream(self): pass" "fish = Fish()"
                   "# %%" "fish.swi")
  (carpo-run)
  (carpo-test-see "✓")
  (carpo-test-go "fish.swi")
  (carpo-test-complete)
  (should (equal (buffer-substring (line-beginning-position) (line-end-position))
                 "fish.swim_upstream")))

(ert-deftest carpo-test-a-prompt-is-answered ()
  ;; A batch Emacs reads what is typed from its standard input.
  (carpo-setup)
  (carpo-test-open "a.py" "name = input('Who? ')" "f'Hello {name}'")
  (carpo-run)
  (carpo-test-see "▏ 'Hello Ada'"))

(ert-deftest carpo-test-a-prompt-that-is-left-and-asked-again ()
  (carpo-setup)
  (carpo-test-open "a.py" "name = input('Who? ')" "f'Hello {name}'")
  (cl-letf (((symbol-function 'read-string) (lambda (&rest _) (signal 'quit nil))))
    (carpo-run)
    (carpo-test-see "\\? waits for input")
    (carpo-test-until "what to do" (lambda () (= 1 (carpo-test-messages "M-x carpo-answer")))))
  (carpo-answer)
  (carpo-test-see "▏ 'Hello Ada'")
  (should-error (carpo-answer) :type 'user-error))

(ert-deftest carpo-test-an-interrupt ()
  (carpo-setup)
  (carpo-test-open "a.py" "# %%" "import time" "print('begun', flush=True)" "time.sleep(600)"
                   "# %%" "1 + 1")
  (carpo-run-all)
  (carpo-test-see "● running\n▏ begun")
  (carpo-test-see "○ queued")
  (carpo-interrupt)
  (carpo-test-see "✗ KeyboardInterrupt")
  (carpo-test-see "– not run")
  (carpo-test-go "1 + 1")
  (carpo-run)
  (carpo-test-see "▏ 2"))

(ert-deftest carpo-test-a-dead-kernel ()
  (carpo-setup)
  (carpo-test-open "a.py" "# %%" "import os" "os._exit(3)" "# %%" "1 + 1")
  (carpo-run)
  (carpo-test-see "† the kernel died")
  (carpo-test-until "a message" (lambda () (< 0 (carpo-test-messages "has died"))))
  (should (string-match-p "dead" (carpo-mode-line)))
  (carpo-restart)
  (carpo-test-until "the restart" (lambda () (string-match-p "idle" (carpo-mode-line))))
  (should (= 1 (carpo-test-messages "has died")))
  (carpo-test-go "1 + 1")
  (carpo-run)
  (carpo-test-see "▏ 2"))

(ert-deftest carpo-test-r-in-a-quarto-document ()
  :tags '(needs-r)
  (add-to-list 'auto-mode-alist '("\\.[qR]md\\'" . markdown-mode))
  (carpo-setup)
  (carpo-test-open "a.qmd" "# Title" "" "```{r}" "x <- c(1, 2, 3)" "mean(x)" "```" ""
                   "```{python}" "6 * 7" "```")
  (carpo-test-go "mean")
  (carpo-run)
  (carpo-test-see "▏ \\[1\\] 2")
  (carpo-test-go "6 * 7")
  (carpo-run)
  (carpo-test-see "▏ 42")
  (carpo-test-until "both kernels"
                    (lambda () (string-match-p "\\[Python 3.* idle, R idle\\]"
                                               (carpo-mode-line)))))

(ert-deftest carpo-test-pieces-of-a-document ()
  (carpo-setup)
  (carpo-test-open "a.py" "ran = globals().setdefault('ran', [])" "# %%" "ran += ['a']" "# %%"
                   "x = 1; ran += ['😀']; ran += ['b']" "# %%" "ran += ['c']"
                   "ran += ['d']" "# %%" "ran")
  (cl-flet ((ran ()
              (goto-char (point-max))
              (forward-line -1)
              (carpo-run)
              (prog1 (carpo-test-see "▏ \\[.*\\]\\'")
                (carpo-clear-all))))
    (carpo-test-go "ran +=")
    (carpo-run-above)
    (carpo-run-cell-and-advance)
    (carpo-test-until "the next cell" (lambda () (looking-at "x = 1")))
    (should (string-match-p "▏ \\['a'\\]" (ran)))
    ;; Behind a character of two units.
    (search-backward "ran += ['b']")
    (set-mark (point))
    (let ((transient-mark-mode t))
      (activate-mark)
      (goto-char (line-end-position))
      (carpo-run))
    (should (string-match-p "▏ \\['a', 'b'\\]" (ran)))
    (carpo-test-go "ran += ['d']")
    (carpo-run-statement)
    (should (string-match-p "▏ \\['a', 'b', 'd'\\]" (ran)))
    (carpo-test-go "['c']")
    (carpo-run-below)
    (should (string-match-p "▏ \\['a', 'b', 'd', 'c', 'd'\\]" (ran)))
    (carpo-restart-and-run-all)
    (should (string-match-p "▏ \\['a', '😀', 'b', 'c', 'd'\\]"
                            (carpo-test-see "▏ \\[.*\\]\\'")))))

;;;; What is shown

(ert-deftest carpo-test-results-follow-the-code ()
  (carpo-setup)
  (carpo-test-open "a.py" "# %%" "name = input()" "name")
  (cl-letf (((symbol-function 'read-string) (lambda (&rest _) (signal 'quit nil))))
    (carpo-run)
    (carpo-test-see "waits for input"))
  (goto-char (point-min))
  (insert "# one\n# two\n")
  (goto-char (point-max))
  (backward-char)
  (insert " # more\n# %% below")
  (carpo-answer)
  (carpo-test-see "▏ 'Ada'")
  (goto-char (overlay-end (car (carpo-test-overlays))))
  (should (equal (buffer-substring (line-beginning-position) (line-end-position))
                 "name # more"))
  (carpo-test-go "# two\n")
  (delete-region (point) (point-max))
  (should-not (carpo-test-overlays)))

(ert-deftest carpo-test-several-buffers ()
  (carpo-setup)
  (carpo-test-open "a.py" "# %%" "x = 'a'" "x")
  (let ((one (current-buffer)))
    (carpo-run)
    (carpo-test-see "▏ 'a'")
    (carpo-test-open "b.py" "# %%" "'x' in globals()")
    (carpo-run)
    (carpo-test-see "▏ False")
    (with-current-buffer one
      (should (= (length (carpo-test-shown)) 1)))
    (kill-buffer one)
    (should (= 1 (hash-table-count carpo-executions)))
    (should (= 0 (carpo-test-messages "the server has ended")))
    (carpo-run)
    (carpo-test-see "\\[2\\].*\n▏ False")))

(ert-deftest carpo-test-returns-clearings-and-updates ()
  (carpo-setup)
  (carpo-test-open
   "a.py" "# %%" "from IPython.display import clear_output, display"
   "print('to be cleared'); clear_output(wait=True)"
   "for n in range(3): print(f'\\r{n} of 2', end='', flush=True)"
   "print()"
   "handle = display('old', display_id=True)"
   "# %%" "handle.update('new')")
  (carpo-run)
  (carpo-test-see "✓.*\n▏ 2 of 2\n▏ 'old'\\'")
  (carpo-test-go "handle.update")
  (carpo-run)
  (carpo-test-see "▏ 2 of 2\n▏ 'new'\\'"))

(ert-deftest carpo-test-colours-and-streams ()
  (carpo-setup)
  (carpo-test-open "a.py" "import sys" "print('\\x1b[32mgreen\\x1b[0m plain')"
                   "print('warned', file=sys.stderr)")
  (carpo-run)
  (let ((shown (carpo-test-see "✓.*\n▏ green plain\n▏ warned")))
    (should-not (eq (carpo-test-face shown "green") 'carpo-output))
    (should (eq (carpo-test-face shown "plain") 'carpo-output))
    (should (eq (carpo-test-face shown "warned") 'carpo-stderr))))

(ert-deftest carpo-test-long-output ()
  (carpo-setup)
  (carpo-test-open "a.py" "for n in range(50000): print(f'line {n}')")
  (carpo-run)
  (let ((shown (carpo-test-see "✓ \\[1\\]")))
    (should (= (length (split-string shown "\n")) 13))
    (should (string-match-p "▏ line 5\n▏ ⋯ 49989 more lines.*\n▏ line 49995\n" shown))
    (should (string-suffix-p "▏ line 49999" shown)))
  (carpo-show-output)
  (should (derived-mode-p 'carpo-output-mode))
  (carpo-test-until "the whole output" (lambda () (< 50000 (count-lines 1 (point-max)))))
  (should (string-match-p "line 777\nline 778\n" (buffer-string))))

(ert-deftest carpo-test-a-picture-has-a-path ()
  (carpo-setup)
  (carpo-test-open "a.py" "from IPython.display import display"
                   "display({'image/png': 'aVZCT1J3MEtHZ28=', 'text/plain': 'x'}, raw=True)")
  (carpo-run)
  (let* ((shown (carpo-test-see "▏ /.*\\.png"))
         (path (progn (string-match "/.*\\.png" shown) (match-string 0 shown))))
    (should (file-exists-p path))
    (carpo-outputs--remove-folder)
    (should-not (file-exists-p path))))

(ert-deftest carpo-test-clearing ()
  (carpo-setup)
  (carpo-test-open "a.py" "# %%" "1" "# %%" "2")
  (carpo-run-all)
  (carpo-test-see "▏ 1")
  (carpo-test-see "▏ 2")
  (goto-char (point-min))
  (carpo-clear)
  (should (equal (length (carpo-test-shown)) 1))
  (carpo-clear-all)
  (should-not (carpo-test-shown)))

;;;; Kernels and servers

(ert-deftest carpo-test-another-kernel ()
  (carpo-setup)
  (carpo-test-open "a.py" "# %%" "x = 'shared'")
  (carpo-run)
  (carpo-test-see "✓")
  (carpo-test-open "b.py" "# %%" "x")
  (let (offered)
    (cl-letf (((symbol-function 'completing-read)
               (lambda (_prompt choices &rest _)
                 (setq offered (mapcar #'car choices))
                 (seq-find (lambda (title) (string-match-p "runs as" title)) offered))))
      (carpo-run)
      (carpo-test-see "NameError")
      (should (= 2 (hash-table-count carpo-kernels)))
      (with-current-buffer "a.py"
        (carpo-shutdown)
        (carpo-test-until "the end of the other"
                          (lambda () (= 1 (hash-table-count carpo-kernels))))
        (carpo-select-kernel))
      (should (seq-find (lambda (title) (string-match-p "(python3)" title)) offered)))
    (carpo-run)
    (carpo-test-see "NameError.*\\[2\\]")
    (with-current-buffer "a.py"
      (carpo-run)
      (carpo-test-see "✓ \\[3\\]"))))

(ert-deftest carpo-test-no-server ()
  (let ((carpo-server-command '("no-such-server")))
    (carpo-setup)
    (carpo-test-open "a.py" "1")
    (carpo-test-open "b.py" "1")
    (should (= 1 (with-current-buffer "*Warnings*"
                   (how-many "not where Emacs finds programs" (point-min) (point-max)))))
    (let ((problem (should-error (carpo-run) :type 'user-error)))
      (should (string-match-p "pipx install /" (error-message-string problem))))
    (should-error (call-interactively #'eglot) :type 'user-error)))

(ert-deftest carpo-test-a-server-that-dies ()
  (carpo-setup)
  (carpo-test-open "a.py" "# %%" "import time" "time.sleep(600)" "# %%" "1 + 1")
  (carpo-run)
  (carpo-test-see "● running")
  (let ((server (carpo-client-server)))
    (signal-process (jsonrpc--process server) 'KILL)
    (carpo-test-until "the end" (lambda () (not (eq (carpo-client-server) server)))))
  (carpo-test-see "† the kernel died")
  (carpo-test-go "1 + 1")
  (carpo-run)
  (carpo-test-see "▏ 2")
  (should (= 1 (carpo-test-messages "the server has ended"))))

(ert-deftest carpo-test-a-server-that-is-shut-down ()
  (carpo-setup)
  (carpo-test-open "a.py" "1 + 1")
  (carpo-run)
  (carpo-test-see "▏ 2")
  (eglot-shutdown (eglot-current-server))
  (should (equal (carpo-mode-line) " carpo:off"))
  (should (= 0 (carpo-test-messages "the server has ended")))
  (carpo-run)
  (carpo-test-until "a new kernel" (lambda () (string-match-p "idle" (carpo-mode-line))))
  (carpo-test-see "\\[1\\].*\n▏ 2"))

(provide 'eglot-tests)
;;; eglot-tests.el ends here

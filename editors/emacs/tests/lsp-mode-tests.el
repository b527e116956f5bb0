;;; lsp-mode-tests.el --- Kernels by lsp-mode  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: MIT

;;; Commentary:

;; Tests with lsp-mode, the server and kernels.

;;; Code:

(require 'carpo-lsp-mode)
(require 'lsp-mode)
(require 'support)

(setq lsp-auto-guess-root t
      lsp-restart 'ignore
      lsp-enable-suggest-server-download nil
      carpo-language-client 'lsp-mode)

(defun carpo-test-set-up ()
  "Register the server, and make the folder a project."
  (make-directory ".git")
  (lsp-workspace-folders-add default-directory)
  (carpo-setup))

(ert-deftest carpo-test-lsp-mode-results-and-a-prompt ()
  (carpo-test-set-up)
  (carpo-test-open "a.py" "# %%" "name = input('Who? ')" "print('\\x1b[31mred\\x1b[0m')"
                   "f'Hello 😀{name}'")
  (carpo-run)
  (let ((shown (carpo-test-see "✓ \\[1\\] .*\n▏ red\n▏ 'Hello 😀Ada'\\'")))
    (should-not (eq (carpo-test-face shown "red") 'carpo-output)))
  (carpo-test-until "the kernel in the mode line"
                    (lambda () (string-match-p "\\[Python 3.* idle\\]" (carpo-mode-line))))
  (should (= 0 (carpo-test-messages "Unknown notification"))))

(ert-deftest carpo-test-lsp-mode-an-interrupt-and-the-next-cell ()
  (carpo-test-set-up)
  (carpo-test-open "a.py" "# %%" "import time; time.sleep(600)" "# %%" "1 + 1")
  (carpo-run-cell-and-advance)
  (carpo-test-see "● running")
  (carpo-interrupt)
  (carpo-test-see "✗ KeyboardInterrupt")
  (should (looking-at-p "1 \\+ 1"))
  (carpo-run)
  (carpo-test-see "▏ 2"))

(ert-deftest carpo-test-lsp-mode-a-server-that-dies ()
  (carpo-test-set-up)
  (carpo-test-open "a.py" "# %%" "import time; time.sleep(600)" "# %%" "1 + 1")
  (carpo-run)
  (carpo-test-see "● running")
  (signal-process (lsp--workspace-cmd-proc (carpo-client-server)) 'KILL)
  (carpo-test-see "† the kernel died")
  (should (= 1 (carpo-test-messages "the server has ended")))
  (carpo-test-go "1 + 1")
  (carpo-run)
  (carpo-test-see "▏ 2"))

(provide 'lsp-mode-tests)
;;; lsp-mode-tests.el ends here

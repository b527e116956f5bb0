;;; support.el --- What the tests share  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: MIT

;;; Commentary:

;; A test runs in an Emacs of its own, in an empty folder, with the real server and real kernels.
;; It waits for conditions, and processes what comes meanwhile.

;;; Code:

(require 'ert)
(require 'package)
(require 'seq)
(require 'subr-x)

(setq load-prefer-newer t
      python-indent-guess-indent-offset nil
      make-backup-files nil)
(package-initialize)
(add-to-list 'load-path (expand-file-name ".." (file-name-directory load-file-name)))
(require 'carpo)

(setq carpo-settings '(:completion (:budget 20000)))

(defconst carpo-test-seconds 60
  "How long is waited for what should have come long ago.")

(defun carpo-test-messages (regexp)
  "Count the matches of REGEXP in the messages."
  (with-current-buffer (messages-buffer)
    (how-many regexp (point-min) (point-max))))

(defun carpo-test-until (what predicate)
  "Wait for WHAT, a value of PREDICATE that is not nil, and return it."
  (let ((deadline (+ (float-time) carpo-test-seconds))
        value)
    (while (and (not (setq value (funcall predicate))) (< (float-time) deadline))
      (accept-process-output nil 0.05))
    (or value
        (ert-fail (list (format "waited in vain for %s" what)
                        (carpo-test-shown)
                        (with-current-buffer (messages-buffer) (buffer-string)))))))

(defun carpo-test-overlays ()
  "Return the overlays with results in the buffer, in order."
  (sort (seq-filter (lambda (overlay) (overlay-get overlay 'after-string))
                    (overlays-in (point-min) (point-max)))
        (lambda (one other) (< (overlay-end one) (overlay-end other)))))

(defun carpo-test-shown ()
  "Return what stands below the cells of the buffer, with faces."
  (mapcar (lambda (overlay) (overlay-get overlay 'after-string)) (carpo-test-overlays)))

(defun carpo-test-see (regexp)
  "Wait until what stands below one cell matches REGEXP, and return that."
  (carpo-test-until
   regexp
   (lambda ()
     (seq-find (lambda (string) (string-match-p regexp string)) (carpo-test-shown)))))

(defun carpo-test-open (name &rest lines)
  "Open the file NAME with LINES, in a buffer that becomes current."
  (write-region (concat (string-join lines "\n") "\n") nil name nil 'silent)
  (set-buffer (find-file-noselect name))
  (goto-char (point-min)))

(defun carpo-test-go (string)
  "Go behind the first STRING of the buffer."
  (goto-char (point-min))
  (search-forward string))

(defun carpo-test-face (string text)
  "Return the face of TEXT in STRING."
  (get-text-property (string-match (regexp-quote text) string) 'face string))

(provide 'support)
;;; support.el ends here

;;; carpo-text.el --- Printed text as lines, with bounded memory  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: MIT

;;; Commentary:

;; What a program prints, as lines of a terminal: carriage returns and
;; backspaces overwrite, escapes colour.  The first lines and the last ones are
;; kept, and how many there are.

;;; Code:

(require 'ansi-color)
(require 'cl-lib)
(require 'seq)
(require 'subr-x)

(defconst carpo-text-most 8000
  "Characters of a line that are kept: nobody reads on.")

(cl-defstruct (carpo-text (:constructor carpo-text--make) (:copier nil))
  "Text with KEEP lines at each end; nil keeps all."
  keep
  (first nil :documentation "Up to KEEP lines, the last one first.")
  (last nil :documentation "The lines behind these, the last one first; some more than KEEP.")
  (ended 0 :documentation "How many lines have ended.")
  (open "" :documentation "The line that has not ended yet.")
  (colours "" :documentation "The escapes that are in force at its begin."))

(defconst carpo-text--sgr "\e\\[\\([0-9;:]*\\)m"
  "Matches an escape that sets colours.")

(defconst carpo-text--others
  (rx "\e" (or (seq "]" (* (not (any "\a\e"))) (or "\a" "\e\\")) ; titles, links
               (seq "[" (* (any "0-?")) (* (any " -/")) (any "@-ln-~"))
               (seq (any " -/") nonl)
               (any "0-Z" "\\" "^-~")))
  "Matches an escape that does something else.")

(defun carpo-text-new (keep)
  "Return a text with KEEP lines at each end, with all if that is nil."
  (carpo-text--make :keep keep))

(defun carpo-text--over (below above)
  "Return what is left of BELOW when ABOVE is written over it."
  (cond ((string-empty-p above) below)
        ((or (>= (length above) (length below))
             (string-search "\e" above)
             (string-search "\e" below))
         above)
        (t (concat above (substring below (length above))))))

(defun carpo-text--settle (line)
  "Return LINE as a terminal would have it, not too long."
  (when (string-search "\b" line)
    (while (string-match "[^\b\r]\b" line)
      (setq line (replace-match "" t t line)))
    (setq line (string-replace "\b" "" line)))
  (when (string-search "\r" line)
    (setq line (seq-reduce #'carpo-text--over (split-string line "\r") "")))
  (if (> (length line) carpo-text-most) (substring line 0 carpo-text-most) line))

(defun carpo-text--colours-after (line colours)
  "Return the escapes in force after LINE, when COLOURS are before it."
  (let ((start 0) (found colours))
    (while (string-match carpo-text--sgr line start)
      (setq start (match-end 0)
            found (if (string-match-p "\\`0*\\'" (match-string 1 line))
                      ""
                    (concat found (match-string 0 line)))))
    ;; Programs that never reset set the same again and again.
    (if (> (length found) 400) (substring found (string-search "\e" found 200)) found)))

(defun carpo-text--add (text line)
  "Add a whole LINE to TEXT."
  (let ((keep (carpo-text-keep text))
        (colours (carpo-text-colours text))
        (number (cl-incf (carpo-text-ended text))))
    (let ((shown (concat colours (carpo-text--settle line))))
      (if (or (null keep) (<= number keep))
          (push shown (carpo-text-first text))
        (push shown (carpo-text-last text))))
    (when (string-search "\e" line)
      (setf (carpo-text-colours text) (carpo-text--colours-after line colours)))))

(defun carpo-text-feed (text string)
  "Add STRING to TEXT."
  (let* ((lines (split-string (concat (carpo-text-open text) string) "\n"))
         (keep (carpo-text-keep text))
         (open (car (last lines))))
    (dolist (line (butlast lines))
      (carpo-text--add text line))
    (when (and keep (> (length (carpo-text-last text)) (* 2 keep)))
      (setf (carpo-text-last text) (seq-take (carpo-text-last text) keep)))
    (when (> (length open) carpo-text-most)
      ;; A progress bar without end.  A final return begins the line anew with
      ;; the next text.
      (let ((returned (string-suffix-p "\r" open)))
        (setq open (concat (carpo-text--settle (string-remove-suffix "\r" open))
                           (and returned "\r")))))
    (setf (carpo-text-open text) open)))

(defun carpo-text-count (text)
  "Return how many lines TEXT has."
  (+ (carpo-text-ended text) (if (string-empty-p (carpo-text-open text)) 0 1)))

(defun carpo-text--all-last (text)
  "Return the last lines of TEXT, behind the first ones, in order."
  (let* ((open (carpo-text-open text))
         (lines (if (string-empty-p open)
                    (carpo-text-last text)
                  (cons (concat (carpo-text-colours text) (carpo-text--settle open))
                        (carpo-text-last text)))))
    (nreverse (if (carpo-text-keep text) (seq-take lines (carpo-text-keep text))
                (copy-sequence lines)))))

(defun carpo-text-head (text number)
  "Return the first lines of TEXT that are kept, up to NUMBER, in order."
  (let ((first (reverse (carpo-text-first text))))
    (seq-take (if (= (length first) (carpo-text-ended text))
                  (append first (carpo-text--all-last text))
                first)
              number)))

(defun carpo-text-tail (text number)
  "Return the last lines of TEXT that are kept, up to NUMBER, in order."
  (let ((last (carpo-text--all-last text)))
    (last (if (= (+ (length (carpo-text-first text)) (length last)) (carpo-text-count text))
              (append (reverse (carpo-text-first text)) last)
            last)
          number)))

(defun carpo-text--simpler (escape)
  "Return ESCAPE without colours that Emacs only knows since version 29."
  (if (>= emacs-major-version 29)
      escape
    (replace-regexp-in-string
     "\\([34]\\)8;\\(?:5;\\([0-9]+\\)\\|2;[0-9]+;[0-9]+;[0-9]+\\)"
     (lambda (match)
       (string-match "\\([34]\\)8;5;\\([0-9]+\\)" match)
       (let ((ground (match-string 1 match))
             (index (string-to-number (or (match-string 2 match) ""))))
         (if (and ground (< index 16))
             (number-to-string (+ (* 10 (string-to-number ground))
                                  (if (< index 8) index (+ 52 index))))
           (format "%s9" (aref match 0)))))
     escape t)))

(defun carpo-text-display (line &optional face)
  "Return LINE, which has escapes, as a string with faces.
FACE is that of what has none."
  (let ((case-fold-search nil)
        (ansi-color-context nil)
        (string (string-replace "\t" "    " line)))
    (when (string-search "\e" string)
      (setq string (replace-regexp-in-string carpo-text--others "" string t t)
            string (replace-regexp-in-string carpo-text--sgr #'carpo-text--simpler string t)
            string (ansi-color-apply string)))
    (setq string (replace-regexp-in-string "[\0-\b\v-\x1f\x7f]" "" string t t))
    ;; Strings of overlays are drawn with `face' alone.
    (let ((at 0))
      (while (< at (length string))
        (let ((next (next-single-property-change at 'font-lock-face string (length string)))
              (own (get-text-property at 'font-lock-face string)))
          (put-text-property at next 'face (or own face) string)
          (setq at next))))
    string))

(provide 'carpo-text)
;;; carpo-text.el ends here

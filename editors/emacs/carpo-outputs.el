;;; carpo-outputs.el --- Jupyter outputs as lines  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: MIT

;;; Commentary:

;; Outputs of nbformat 4, as lines of text and pictures.  A picture is one line:
;; an image where the display can show it, else the path of its file.

;;; Code:

(require 'carpo-text)
(require 'cl-lib)
(require 'json)
(require 'seq)

(defgroup carpo nil
  "Live Jupyter kernels by carpo-lsp."
  :group 'languages
  :prefix "carpo-")

(defcustom carpo-image-size '(640 . 400)
  "Greatest width and height of pictures below cells, in pixels."
  :type '(cons natnum natnum))

(defface carpo-output '((t :inherit default))
  "Results and what is printed.")

(defface carpo-stderr '((t :inherit warning :weight normal))
  "What is printed to the standard error.")

(defface carpo-error '((t :inherit error :weight normal))
  "Tracebacks.")

(defface carpo-note '((t :inherit shadow))
  "What is said of outputs.")

(cl-defstruct (carpo-output (:constructor carpo-output--make) (:copier nil))
  "An output: KIND is a symbol, `stream', `data' or `error'."
  kind
  (name nil :documentation "Of a stream: \"stdout\" or \"stderr\".")
  (text nil :documentation "A `carpo-text'.")
  (display-id nil :documentation "What updates name it by.")
  (picture nil :documentation "A string that shows the picture in place of the text.")
  (note nil :documentation "What is to be said below it."))

(defconst carpo-outputs--texts
  '(:text/plain :text/markdown :text/latex :application/json :text/html)
  "Text types, in the order of preference.")

(defconst carpo-outputs--pictures
  '((:image/png png ".png") (:image/jpeg jpeg ".jpg") (:image/gif gif ".gif")
    (:image/webp webp ".webp") (:image/svg+xml svg ".svg"))
  "Picture types, with Emacs' name of each and the end of a file's name.")

(defvar carpo-outputs--folder nil
  "The folder of pictures' files, which goes away with Emacs.")

(defun carpo-outputs--as-text (value)
  "Return VALUE of some data as text: it may be a list of lines, or JSON."
  (cond ((stringp value) value)
        ((and (consp value) (stringp (car value))) (apply #'concat value))
        (t (json-encode value))))

(defun carpo-outputs--remove-folder ()
  "Remove the pictures' files."
  (when (and carpo-outputs--folder (file-directory-p carpo-outputs--folder))
    (delete-directory carpo-outputs--folder t)))

(defun carpo-outputs--file (bytes ending)
  "Return the path of a file with BYTES whose name has the ENDING.
The same picture has the same file."
  (unless (and carpo-outputs--folder (file-directory-p carpo-outputs--folder))
    (setq carpo-outputs--folder (make-temp-file "carpo-" t))
    (add-hook 'kill-emacs-hook #'carpo-outputs--remove-folder))
  (let ((path (expand-file-name (concat (substring (secure-hash 'sha1 bytes) 0 12) ending)
                                carpo-outputs--folder))
        (coding-system-for-write 'no-conversion))
    (unless (file-exists-p path)
      (write-region bytes nil path nil 'silent))
    path))

(defun carpo-outputs--picture (data)
  "Return a string for the picture in DATA, nil if there is none."
  (when-let* ((known (seq-find (lambda (each) (plist-get data (car each)))
                               carpo-outputs--pictures))
              (content (carpo-outputs--as-text (plist-get data (car known))))
              (bytes (if (eq (nth 1 known) 'svg)
                         (encode-coding-string content 'utf-8 t)
                       ;; What is no picture is shown as text.
                       (ignore-errors (base64-decode-string content)))))
    (if (and (display-images-p) (image-type-available-p (nth 1 known)))
        (propertize " " 'display
                    (create-image bytes (nth 1 known) t
                                  :max-width (car carpo-image-size)
                                  :max-height (cdr carpo-image-size)))
      (propertize (carpo-outputs--file bytes (nth 2 known)) 'face 'carpo-note))))

(defun carpo-outputs--plain (data)
  "Return DATA, by MIME type, as text."
  (if-let ((type (seq-find (lambda (each) (plist-get data each)) carpo-outputs--texts)))
      (carpo-outputs--as-text (plist-get data type))
    (format "(%s)" (mapconcat (lambda (pair) (substring (symbol-name (car pair)) 1))
                              (seq-partition data 2) ", "))))

(defun carpo-outputs--note (raw)
  "Return what is to be said below the output RAW, or nil."
  (let ((about (plist-get (plist-get raw :metadata) :carpo)))
    (when (plist-get about :truncated)
      (let ((size (file-size-human-readable (or (plist-get about :bytes) 0))))
        (if-let ((path (plist-get about :path)))
            (format "cut: the whole of it, %s, is in %s" size path)
          (format "cut: the whole of it, %s, found no room on the disk" size))))))

(defun carpo-outputs-new (raw keep &optional display-id)
  "Return the output RAW of nbformat with KEEP lines at each end.
Nil keeps all.  DISPLAY-ID is what updates name it by."
  (let* ((kind (pcase (plist-get raw :output_type) ("stream" 'stream) ("error" 'error) (_ 'data)))
         (note (carpo-outputs--note raw))
         (data (plist-get raw :data))
         ;; What was cut is no picture that could be shown.
         (picture (and (eq kind 'data) (not note) (carpo-outputs--picture data)))
         (traceback (string-join (plist-get raw :traceback) "\n"))
         (text (carpo-text-new keep)))
    (carpo-text-feed text
                     (cond (picture "")
                           ((eq kind 'stream) (carpo-outputs--as-text (plist-get raw :text)))
                           ((eq kind 'data) (carpo-outputs--plain data))
                           ((string-empty-p traceback)
                            (format "%s: %s" (plist-get raw :ename) (plist-get raw :evalue)))
                           (t traceback)))
    (carpo-output--make :kind kind :name (plist-get raw :name) :text text :display-id display-id
                        :picture picture :note note)))

(defun carpo-outputs-continued-p (output raw)
  "Return non-nil if the output RAW of nbformat continues OUTPUT, or nil."
  (and output
       (eq (carpo-output-kind output) 'stream)
       (equal (plist-get raw :output_type) "stream")
       (equal (carpo-output-name output) (plist-get raw :name))))

(defun carpo-outputs-extend (output raw)
  "Add the text of the stream RAW to OUTPUT."
  (carpo-text-feed (carpo-output-text output) (carpo-outputs--as-text (plist-get raw :text)))
  (setf (carpo-output-note output) (or (carpo-outputs--note raw) (carpo-output-note output))))

(defun carpo-outputs-count (output)
  "Return how many lines OUTPUT has."
  (+ (if (carpo-output-picture output) 1 (carpo-text-count (carpo-output-text output)))
     (if (carpo-output-note output) 1 0)))

(defun carpo-outputs--face (output)
  "Return the face of what has no colour of its own in OUTPUT."
  (cond ((eq (carpo-output-kind output) 'error) 'carpo-error)
        ((equal (carpo-output-name output) "stderr") 'carpo-stderr)
        (t 'carpo-output)))

(defun carpo-outputs--lines (output number take)
  "Return up to NUMBER lines of OUTPUT as strings with faces.
TAKE gets them from its text."
  (let ((face (carpo-outputs--face output))
        (note (carpo-output-note output)))
    (append (if-let ((picture (carpo-output-picture output)))
                (list picture)
              (mapcar (lambda (line) (carpo-text-display line face))
                      (funcall take (carpo-output-text output) number)))
            (and note (list (propertize note 'face 'carpo-note))))))

(defun carpo-outputs-head (outputs number)
  "Return the first lines of OUTPUTS, up to NUMBER."
  (let ((lines nil))
    (while (and outputs (< (length lines) number))
      (setq lines (append lines (carpo-outputs--lines (car outputs) (- number (length lines))
                                                      #'carpo-text-head))
            outputs (cdr outputs)))
    (seq-take lines number)))

(defun carpo-outputs-tail (outputs number)
  "Return the last lines of OUTPUTS, up to NUMBER."
  (let ((lines nil)
        (outputs (reverse outputs)))
    (while (and outputs (< (length lines) number))
      (setq lines (append (carpo-outputs--lines (car outputs) (- number (length lines))
                                                #'carpo-text-tail)
                          lines)
            outputs (cdr outputs)))
    (last lines number)))

(provide 'carpo-outputs)
;;; carpo-outputs.el ends here

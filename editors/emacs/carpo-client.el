;;; carpo-client.el --- The server of a buffer, by eglot or lsp-mode  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: MIT

;;; Commentary:

;; What the rest of carpo knows of language clients.  A server is an object of
;; the client's, and generic functions are called on it; `carpo-eglot' and
;; `carpo-lsp-mode' have their methods.  What comes from servers goes to
;; `carpo-client-notification-functions'.

;;; Code:

(require 'cl-lib)

(defvar carpo-client-finders nil
  "Functions that return the carpo server of the buffer, or nil.
A server that has ended is none.")

(defvar carpo-client-notification-functions nil
  "Functions that take notifications, as an alist from method to function.
A method is a symbol such as `carpo/output'.  A function is called with
the server and the params, as a property list in which false and null are
nil and arrays are lists.")

(defvar carpo-client-changed-hook nil
  "Run in a buffer that has got a server or lost it.
The server need not be one of carpo's.")

(defconst carpo-client-methods
  '(carpo/executionState carpo/output carpo/inputRequest carpo/kernelStatus)
  "The notifications that are taken.")

(defconst carpo-client-seconds 15
  "Seconds that the server has to answer what needs no kernel.")

(cl-defgeneric carpo-client-send (server method params on-result on-error)
  "Send SERVER a request METHOD, a symbol, with PARAMS, a property list.
Call ON-RESULT with the result as JSON, or ON-ERROR with a message.")

(cl-defgeneric carpo-client-uri (server)
  "Return the URI by which SERVER knows the current buffer.")

(cl-defgeneric carpo-client-capabilities (server)
  "Return the capabilities of SERVER as a property list.")

(cl-defgeneric carpo-client-flush (server)
  "Bring SERVER up to date with the current buffer."
  (:method (_server) nil))

(cl-defgeneric carpo-client-running-p (server)
  "Return non-nil if SERVER has not ended.")

(cl-defgeneric carpo-client-shut-down-p (server)
  "Return non-nil if SERVER has ended because the user wanted it to."
  (:method (_server) nil))

(defun carpo-client-plain (json)
  "Return JSON, as a client has read it, in one form.
Objects are property lists, arrays are lists, false and null are nil."
  (cond ((hash-table-p json)
         (let (plist)
           (maphash (lambda (key value)
                      (push (if (keywordp key) key (intern (format ":%s" key))) plist)
                      (push (carpo-client-plain value) plist))
                    json)
           (nreverse plist)))
        ((memq json '(:json-false :false :null :json-null)) nil)
        ((vectorp json) (mapcar #'carpo-client-plain json))
        ((consp json) (mapcar #'carpo-client-plain json))
        (t json)))

(defun carpo-client-notify (server method params)
  "Take a notification METHOD of SERVER with PARAMS, which are JSON."
  (when-let ((take (alist-get method carpo-client-notification-functions)))
    (funcall take server (carpo-client-plain params))))

(defun carpo-client-server ()
  "Return the carpo server of the current buffer, or nil."
  (run-hook-with-args-until-success 'carpo-client-finders))

(defun carpo-client-carpo-p (capabilities)
  "Return non-nil if the server with CAPABILITIES speaks the carpo protocol."
  (and (plist-get (plist-get capabilities :experimental) :carpo) t))

(defun carpo-client-message (problem)
  "Return the message for people of PROBLEM, an error a server has answered."
  (let* ((problem (carpo-client-plain problem))
         (hint (plist-get (plist-get problem :data) :hint))
         (message (or (plist-get problem :message) (format "%S" problem))))
    (if (stringp hint) (format "%s\n%s" message hint) message)))

(defun carpo-client-request (server method params &optional on-result)
  "Send SERVER a request METHOD with PARAMS and go on.
Call ON-RESULT with the result; problems are shown."
  (carpo-client-flush server)
  (carpo-client-send server method params
                     (lambda (result)
                       (when on-result (funcall on-result (carpo-client-plain result))))
                     (lambda (problem) (message "carpo: %s" problem))))

(defun carpo-client-ask (server method params)
  "Send SERVER a request METHOD with PARAMS and return its result.
Meanwhile, other things happen.  A problem becomes an error."
  (let ((deadline (+ (float-time) carpo-client-seconds))
        result problem answered)
    (carpo-client-flush server)
    (carpo-client-send server method params
                       (lambda (value) (setq answered t result value))
                       (lambda (words) (setq answered t problem words)))
    (while (and (not answered) (< (float-time) deadline))
      (accept-process-output nil 0.05))
    (cond (problem (user-error "Carpo: %s" problem))
          ((not answered) (user-error "Carpo: the server does not answer %s" method))
          (t (carpo-client-plain result)))))

(defun carpo-client--column (server text)
  "Return how long TEXT, the begin of a line, is in the units of SERVER."
  (pcase (plist-get (carpo-client-capabilities server) :positionEncoding)
    ("utf-32" (length text))
    ("utf-8" (string-bytes (encode-coding-string text 'utf-8 t)))
    (_ (/ (string-bytes (encode-coding-string text 'utf-16le t)) 2))))

(defun carpo-client-position (server &optional position)
  "Return POSITION, by default that of point, as SERVER's Position."
  (save-excursion
    (save-restriction
      (widen)
      (goto-char (or position (point)))
      (list :line (1- (line-number-at-pos))
            :character (carpo-client--column
                        server
                        (buffer-substring-no-properties (line-beginning-position) (point)))))))

(provide 'carpo-client)
;;; carpo-client.el ends here

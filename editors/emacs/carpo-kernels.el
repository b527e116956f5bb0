;;; carpo-kernels.el --- Kernels, as the server tells of them  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: MIT

;;; Commentary:

;; A registry for the mode line, and one message for each death.

;;; Code:

(require 'carpo-client)
(require 'seq)
(require 'subr-x)

(defvar carpo-kernels (make-hash-table :test #'equal)
  "Kernels by id: property lists as in the protocol, with the `:server'.")

(defvar carpo-kernel-status-functions nil
  "Functions that are called when a kernel's status changes.
They get the kernel, a property list as in the protocol.")

(defun carpo-kernels--put (server kernel)
  "Note the KERNEL of SERVER."
  (puthash (plist-get kernel :kernelId) (append kernel (list :server server)) carpo-kernels))

(defun carpo-kernels-refresh (server)
  "Ask SERVER for its kernels."
  (carpo-client-request server 'carpo/listKernels (make-hash-table)
                        (lambda (result)
                          (dolist (kernel (plist-get result :kernels))
                            (carpo-kernels--put server kernel))
                          (force-mode-line-update t))))

(defun carpo-kernels--tell-death (kernel params)
  "Say that KERNEL has died, as the PARAMS of its status tell."
  (let ((tail (string-trim (or (plist-get params :stderrTail) ""))))
    (message "%s"
             (concat
              (propertize (format "carpo: the kernel %s %s: "
                                  (plist-get kernel :displayName)
                                  (if (plist-get kernel :startedAt) "has died" "did not start"))
                          'face 'error)
              (or (plist-get params :reason) "it has ended.")
              (unless (string-empty-p tail)
                (concat "\n" (car (last (split-string tail "\n")))))
              "\nM-x carpo-restart starts it again."))))

(defun carpo-kernels-on-status (server params)
  "Take the PARAMS of a carpo/kernelStatus of SERVER."
  (let* ((id (plist-get params :kernelId))
         (status (plist-get params :status))
         (before (plist-get (gethash id carpo-kernels) :status))
         (kernel (plist-put (plist-get params :kernel) :status status)))
    (if (equal status "stopped")
        (remhash id carpo-kernels)
      (carpo-kernels--put server kernel))
    (cond ((and (equal status "dead") (not (equal before "dead")))
           (carpo-kernels--tell-death kernel params))
          ((and (plist-get params :cause) (plist-get params :reason)
                (not (equal status "dead")))
           (message "carpo: %s: %s" (plist-get kernel :displayName) (plist-get params :reason))))
    (unless (equal before status)
      (run-hook-with-args 'carpo-kernel-status-functions kernel))
    (force-mode-line-update t)))

(defun carpo-kernels-server-gone (server)
  "Forget the kernels of SERVER, which is no more."
  (dolist (kernel (hash-table-values carpo-kernels))
    (when (eq (plist-get kernel :server) server)
      (remhash (plist-get kernel :kernelId) carpo-kernels)))
  (force-mode-line-update t))

(defun carpo-kernels-of (server uri)
  "Return the kernels of the document URI of SERVER."
  (sort (seq-filter (lambda (kernel)
                      (and (eq (plist-get kernel :server) server)
                           (member uri (plist-get kernel :documents))))
                    (hash-table-values carpo-kernels))
        (lambda (one other)
          (string< (plist-get one :displayName) (plist-get other :displayName)))))

(defun carpo-kernels-words (kernel)
  "Return the name and the status of KERNEL, with a face for the status."
  (let ((status (plist-get kernel :status)))
    (format "%s %s" (plist-get kernel :displayName)
            (propertize status 'face (pcase status
                                       ("idle" 'success)
                                       ("dead" 'error)
                                       (_ 'warning))))))

(provide 'carpo-kernels)
;;; carpo-kernels.el ends here

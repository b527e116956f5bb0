;;; text-tests.el --- Printed text  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: MIT

;;; Commentary:

;; Tests of `carpo-text'.

;;; Code:

(require 'carpo-text)
(require 'ert)

(defun carpo-test-fed (keep &rest strings)
  "Return the text with KEEP lines at each end that was fed STRINGS."
  (let ((text (carpo-text-new keep)))
    (dolist (string strings text)
      (carpo-text-feed text string))))

(defun carpo-test-lines (&rest strings)
  "Return the lines of the text that was fed STRINGS."
  (let ((text (apply #'carpo-test-fed nil strings)))
    (carpo-text-head text (carpo-text-count text))))

(ert-deftest carpo-test-lines-in-pieces ()
  (should (equal (carpo-test-lines "a\nb" "c\n" "\nd") '("a" "bc" "" "d"))))

(ert-deftest carpo-test-returns-overwrite ()
  (should (equal (carpo-test-lines "10%\r" "20%\r" "99") '("99%")))
  (should (equal (carpo-test-lines "windows\r\nnext") '("windows" "next")))
  (should (equal (carpo-test-lines "abc\b\bX\n") '("aX"))))

(ert-deftest carpo-test-both-ends-are-kept ()
  (let ((text (carpo-text-new 3)))
    (dotimes (number 1000)
      (carpo-text-feed text (format "%d\n" number)))
    (should (= (carpo-text-count text) 1000))
    (should (equal (carpo-text-head text 9) '("0" "1" "2")))
    (should (equal (carpo-text-tail text 9) '("997" "998" "999")))
    (carpo-text-feed text "open")
    (should (equal (carpo-text-tail text 2) '("999" "open")))
    (should (<= (length (carpo-text-last text)) 6))))

(ert-deftest carpo-test-few-lines-are-all-kept ()
  (let ((text (carpo-test-fed 3 "0\n1\n2\n3\n4")))
    (should (equal (carpo-text-head text 9) '("0" "1" "2")))
    (should (equal (carpo-text-tail text 9) '("0" "1" "2" "3" "4")))))

(ert-deftest carpo-test-a-line-without-end ()
  (let ((text (carpo-text-new 3)))
    (dotimes (_ 100)
      (carpo-text-feed text (concat (make-string 1000 ?x) "\r")))
    (should (< (length (carpo-text-open text)) 10000))
    (should (equal (carpo-text-count text) 1))))

(ert-deftest carpo-test-colours-go-on ()
  (let* ((lines (carpo-test-lines "\e[31mred\nstill\e[0m not\nplain\n"))
         (shown (mapcar #'carpo-text-display lines)))
    (should (equal shown '("red" "still not" "plain")))
    (should (get-text-property 0 'face (nth 0 shown)))
    (should (get-text-property 0 'face (nth 1 shown)))
    (should-not (get-text-property 6 'face (nth 1 shown)))
    (should-not (get-text-property 0 'face (nth 2 shown)))))

(ert-deftest carpo-test-the-face-of-what-has-no-colour ()
  (let ((shown (carpo-text-display "a\e[1mb" 'carpo-stderr)))
    (should (eq (get-text-property 0 'face shown) 'carpo-stderr))
    (should-not (eq (get-text-property 1 'face shown) 'carpo-stderr))))

(ert-deftest carpo-test-long-palettes ()
  (let ((shown (carpo-text-display "\e[38;5;1mred\e[0m \e[38;5;200mpink \e[38;2;1;2;3mtrue")))
    (should (equal shown "red pink true"))
    (should (equal (get-text-property 0 'face shown)
                   (get-text-property 0 'face (carpo-text-display "\e[31mred"))))))

(ert-deftest carpo-test-other-escapes-are-left-out ()
  (should (equal (carpo-text-display "\e]8;;http://x\e\\link\e]8;;\a \e[2K\e[1Aup\e(B\a")
                 "link up"))
  (should (equal (carpo-text-display "a\tb") "a    b")))

(provide 'text-tests)
;;; text-tests.el ends here
